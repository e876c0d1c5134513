"""What docs/labelling.md says of suggestions is what was measured."""

import json
from pathlib import Path

from benchmarks.suggestions import IMAGES

ROOT = Path(__file__).parents[1]
ROWS = json.loads((ROOT / "benchmarks" / "results" / "suggestions.json").read_text())["rows"]
PAGE = (ROOT / "docs" / "labelling.md").read_text()


def percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def test_the_table_of_suggestions():
    said = PAGE.split("| good images |")[1].split("\n\n")[0].splitlines()[2:]
    careful = {(row["good"], row["right"]): row for row in ROWS if row["overlooked"] == 0}
    hasty = {(row["good"], row["right"]): row for row in ROWS if row["overlooked"] == 0.5}
    expected = []
    for (good, right), row in careful.items():
        if right < 0.9:
            continue
        first = round(min(good * IMAGES, 1 + (1 - good) * IMAGES))
        wrong = percent(hasty[good, right]["wrong"], 1)
        shown = [percent(good), first, percent(right), f"{row['clicks']:.0f}", wrong]
        expected.append(f"| {' | '.join(map(str, shown))} |")
    assert said == expected
