"""What CONTRIBUTING.md says of the repository, held against it."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
CODE = "\n".join(
    path.read_text()
    for package in ("backend", "hero_engine")
    for path in (ROOT / package).rglob("*.py")
)


def rooms(package: str) -> list[str]:
    """The rooms that the table lists below a package."""
    table = PAGE.split("## Where things live")[1].split("\n## ")[0]
    section = table.split(f"| **`{package}/`**")[1].split("| **")[0]
    firsts = re.findall(r"^\| (`.*?) \|", section, re.M)
    return re.findall(r"`(\w+)`", " ".join(firsts))


@pytest.mark.parametrize("package", ["backend", "hero_engine"])
def test_every_room_is_in_the_table(package: str):
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert sorted(rooms(package)) == sorted(folders)


def test_files_and_folders_are_there():
    named = re.findall(r"`([\w.]+(?:/[\w.]*)+|\w+\.(?:py|txt|yaml))`", PAGE)
    linked = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    fixed = {name for name in [*named, *linked] if "NAME" not in name and "KIND" not in name}
    assert len(fixed) > 15
    lost = [name for name in fixed if not any(found(name))]
    assert lost == []


def found(name: str) -> list[Path]:
    """Of a path from the root; of a file without a folder wherever it lies."""
    if "/" in name:
        return [path for path in [ROOT / name] if path.exists()]
    roots = (ROOT, *(ROOT / folder for folder in ("backend", "hero_engine", "tests")))
    return [path for root in roots for path in root.glob(name if root == ROOT else f"**/{name}")]


def test_names_of_the_code_are_there():
    names = set(re.findall(r"`(_\w+|[A-Z]\w+)`", PAGE)) - {"NAME", "KIND"}
    assert len(names) > 8
    lost = [
        name
        for name in names
        if not re.search(rf"^\s*(?:class|def) {name}\b|^{name}\b.* = ", CODE, re.M)
    ]
    assert lost == []


def test_make_targets_are_there():
    targets = set(re.findall(r"`make ([\w-]+)`", PAGE))
    assert {"env", "lint", "test", "test-fast"} <= targets
    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.M)] == []


def test_pre_commit_runs_the_tools_of_make_lint():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    [local] = config["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    tools = [hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in local["hooks"]]
    lint = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    assert tools == re.findall(r"^\t\$\(BIN\)/([\w-]+)", lint, re.M)
