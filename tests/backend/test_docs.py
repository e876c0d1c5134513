"""What the documentation says of settings, commands and errors, held against the code."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from backend.cli import app
from backend.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHER_PAGES = [
    ROOT / "CHANGELOG.md",
    *(ROOT / name / "README.md" for name in ("benchmarks", "tinyworld")),
]


def variables() -> dict[str, str]:
    """Field by variable."""
    found = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        for variable in getattr(alias, "choices", [alias]):
            found[str(variable)] = name
    return found


def settings_table() -> str:
    """`docs/settings.md`'s table, as it should be."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for field in Settings.model_fields.values():
        alias = field.validation_alias
        names = " or ".join(f"`{each}`" for each in getattr(alias, "choices", [alias]))
        default = field.get_default()
        secret = hasattr(default, "get_secret_value")
        shown = "" if secret or default in (None, "") else f"`{default}`"
        rows.append(f"| {names} | {shown} | {field.description} |")
    return "\n".join(rows)


def test_the_table_of_all_settings():
    table = settings_table()
    page = (ROOT / "docs" / "settings.md").read_text()
    assert table in page, f"docs/settings.md's table should be:\n{table}"


def test_the_readme_can_be_read_in_two_minutes():
    assert len((ROOT / "README.md").read_text().split()) <= 700


def test_settings_for_a_label_studio_of_ones_own_are_there():
    page = (ROOT / "docs" / "settings.md").read_text()
    section = page.split("## With a Label Studio")[1].split("\n## ")[0]
    ours, theirs = section.split("| variable of Label Studio |")
    named = set(re.findall(r"^\| `(\w+)`", ours, re.M))
    assert len(named) >= 5
    assert named <= variables().keys()
    compose = (ROOT / "docker-compose.yml").read_text()
    firsts = " ".join(re.findall(r"^\| (`.*?) \| ", theirs, re.M))
    wanted = re.findall(r"`([A-Z_]+)\b", firsts)
    assert len(wanted) == 8
    assert [name for name in wanted if f"{name}: " not in compose] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_that_are_shown_exist(page: Path):
    commands = get_command(app).commands  # type: ignore[attr-defined]
    shown = re.findall(r"\bhero ((?:[a-z]+-)*[a-z]+)\b((?:[^\n`|]|\\\n)*)", _code(page.read_text()))
    wrong = []
    for command, rest in shown:
        if command not in commands:
            wrong.append(command)
            continue
        options = {option for each in commands[command].params for option in each.opts}
        options.add("--help")
        wrong += [
            f"{command} {option}"
            for option in re.findall(r"(?<=\s)(--[a-z][a-z-]+)", rest)
            if option not in options
        ]
    assert wrong == []


def test_links_between_pages_lead_somewhere():
    for page in [*PAGES, *OTHER_PAGES]:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
            linked = page.parent / target if target else page
            assert linked.exists(), f"{page.name} links to {target}"
            if anchor and linked.suffix == ".md":
                assert anchor in anchors(linked), f"{page.name} links to {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_readme():
    start = (ROOT / "README.md").resolve()
    found, waiting = {start}, [start]
    while waiting:
        page = waiting.pop()
        for target in re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text()):
            linked = (page.parent / target).resolve()
            if linked not in found:
                found.add(linked)
                waiting.append(linked)
    assert {page.resolve() for page in [*PAGES, *OTHER_PAGES]} <= found


def test_the_pictures_are_small():
    pictures = list((ROOT / "docs").glob("*.png"))
    assert len(pictures) >= 7
    assert [p.name for p in pictures if p.stat().st_size > 300_000] == []


def test_troubleshooting_knows_every_line_of_the_doctor():
    source = (ROOT / "backend" / "doctor" / "__init__.py").read_text()
    checks = set(re.findall(r'(?:tried|failed)\(\s*"([^"]+)"', source))
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert len(checks) >= 15
    assert [check for check in checks if f"| `{check}`" not in page] == []


def test_troubleshooting_names_variables_that_are_there():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    compose = (ROOT / "docker-compose.yml").read_text()
    named = re.findall(r"`([A-Z][A-Z0-9]+_[A-Z_]+)\b", page)
    assert named
    assert [name for name in named if name not in variables() and name not in compose] == []


def _code(text: str) -> str:
    """Blocks of commands, and what stands between backticks in the text."""
    blocks = re.findall(r"^```(?:sh|yaml)?\n(.*?)^```", text, re.M | re.S)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return "\n".join([*blocks, *inline])
