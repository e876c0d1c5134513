"""Which tests run one after the other where several processes run them."""

import re
from pathlib import Path

from tests.conftest import STARTS_HERO_UP, group_of

ROOT = Path(__file__).parents[1]
STARTS = re.compile(r"import .*\bTerminal\b|\brun_demo\(|\[.*\"hero\", \"(?:up|demo)\"")


def test_what_starts_hero_up_is_one_group():
    found = [
        path for path in (ROOT / "tests").rglob("test_*.py") if STARTS.search(path.read_text())
    ]
    assert {str(path.relative_to(ROOT)) for path in found} <= set(STARTS_HERO_UP)
    assert all((ROOT / name).exists() for name in STARTS_HERO_UP)
    assert len({group_of(f"{name}::test") for name in STARTS_HERO_UP}) == 1
    assert group_of("tests/test_groups.py::test[a::b]") == "tests/test_groups.py"
