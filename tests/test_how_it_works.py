"""docs/how-it-works.md names only what exists."""

import ast
import re
from pathlib import Path

import pytest

from hero_engine.methods.make_config import common_settings, settings_of
from hero_engine.methods.table import METHODS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how-it-works.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:backend|benchmarks|hero_engine)/[^`]*?)`", PAGE)))


def names_in(path: Path) -> set[str]:
    """What a module defines: functions, classes with their methods, values."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


@pytest.mark.parametrize("name", NAMED)
def test_every_place_in_the_code_exists(name):
    path, _, defined = name.partition(":")
    assert (ROOT / path).exists()
    assert not defined or defined in names_in(ROOT / path)


def test_the_page_covers_the_engine():
    places = {name.partition(":")[0] for name in NAMED}
    mathematics = {
        "diffusion/ddim",
        "diffusion/flow",
        "diffusion/kernel",
        "diffusion/sampling",
        "diffusion/forward_process",
        "feedback/embedding",
        "feedback/noise_bank",
        "feedback/replay",
        "feedback/reward",
        "methods/policy_gradient",
    }
    assert {f"hero_engine/{name}.py" for name in mathematics} <= places


def test_every_setting_and_method_exists():
    tables = re.findall(r"^\| setting of `hero\+?` .*\n((?:\|.*\n)+)", PAGE, re.M)
    firsts = [line.split(" | ")[0] for table in tables for line in table.splitlines()]
    settings = set(re.findall(r"`(\w+)`", " ".join(firsts)))
    assert len(tables) == 2 and len(settings) >= 12
    known = {each.name for method in METHODS for each in settings_of(method)}
    known |= {each.name for each in common_settings()}
    mentioned = set(re.findall(r"\(`(\w+)`\)", PAGE))
    assert settings | mentioned <= known
    rows = re.findall(r"^\| `([\w+]+)` \| .*`hero_engine/methods/", PAGE, re.M)
    methods = [row for row in rows if row not in settings]
    assert methods == list(METHODS)
