"""What docs/results.md and README.md say of hero+ on other prompts is what was measured."""

import json
from pathlib import Path

from benchmarks.prompts import kept_spread, sheet

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
RUNS = json.loads((RESULTS / "prompts-tiny.json").read_text())["runs"]
PAGE = (ROOT / "docs" / "results.md").read_text()
README = (ROOT / "README.md").read_text()


def percent(value: float) -> str:
    return f"{100 * value:.0f}"


def rows_of(page: str, first: str) -> dict[str, list[str]]:
    lines = page.split(f"| {first} |")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_every_run_stands_in_the_table():
    said = rows_of(PAGE, "prompt, any")
    assert set(said) == {run["prompt"] for run in RUNS}
    for run in RUNS:
        kept = kept_spread(run)
        assert said[run["prompt"]] == [
            percent(run["success_pretrained"]),
            str(run["labels"]),
            "yes" if run["stopped"] else "no",
            percent(run["success_normal"]),
            "-" if kept is None else percent(kept),
        ]


def test_the_readme_has_the_same_figures():
    said = rows_of(README, "prompt")
    for run in RUNS:
        if run["prompt"] in said:
            after = said[run["prompt"]][-1]
            assert after == f"{percent(run['success_normal'])} %"
            assert run["labels"] == 512, "as the table's heading says"


def test_the_result_page_is_that_of_the_runs():
    page = (RESULTS / "prompts-tiny.md").read_text()
    assert sheet(RUNS, "tiny").markdown() in page
