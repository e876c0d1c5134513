"""docs/research.md has only figures that were measured."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "research.md").read_text()
LOG = (ROOT / "docs" / "research-log.md").read_text()
RESULT = json.loads((ROOT / "benchmarks/results/research-log.json").read_text())
RUNS = {variant["name"]: variant["runs"] for variant in RESULT["variants"]}
PRETRAINED = {run["seed"]: run for run in RESULT["pretrained"]}

STEPS = {
    "`hero`": "hero",
    "and 40 steps on the denoising loss": "40 steps at 3e-4",
    "120 larger steps and no policy gradient, half of the images from fresh noise": (
        "v, half fresh, alone, pull 0.5"
    ),
    "fewer steps when few images fail": "v, half fresh, alone, pull 0.5, by failures",
    "one latent in sixteen starts from noise alone": "first step",
    "rare images count more, stronger pull: **the preset**": "first step, rarity, pull 1",
    "the same, 256 labels at once": "256 at once, batches of 64",
    "the same, two red roses held, one latent in 32 from noise alone": (
        "256 at once, batches of 64, one in 32, two red roses held"
    ),
}
ALONE = {
    "40 steps at 3e-4: the base": "40 steps at 3e-4",
    "more steps: 80": "80 steps at 3e-4",
    "larger steps: 1e-3": "40 steps at 1e-3",
    "learn from the last batch alone": "no replay",
    "train the prediction under guidance": "guided",
    "the same, steps of 1e-3": "guided, 40 at 1e-3",
    "hold the empty caption": "empty caption 0.3",
    "half of the latents bad (DiffusionNFT)": "half bad",
    "the same, beta 0.3": "half bad, beta 0.3",
    "three quarters bad": "three quarters bad",
    "novel images count more": "novelty on z_0",
    "images with a high reward count more": "reward",
    "rarity measured by the embedding": "rarity in E",
    "average of the weights over steps": "average",
    "bound on the change": "bound",
    "train the embedding on all epochs": "embedding replay",
}
"""The page's rows by variant."""


def _table(first: str) -> dict[str, list[str]]:
    """The cells of the table whose first column is called so, by the first cell of each row."""
    lines = PAGE.split(f"| {first} |")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


def _seeds(text: str) -> list[int]:
    """Of `1-3` or `1, 5`."""
    if "-" in text:
        first, last = map(int, text.split("-"))
        return list(range(first, last + 1))
    return [int(seed) for seed in text.split(",")]


def _after(runs: Iterable[dict[str, Any]], labels: int) -> float | None:
    found = [dict(zip(run["labels"], run["normal_by_epoch"], strict=True)) for run in runs]
    return 100 * mean(each[labels] for each in found) if labels in found[0] else None


def _changes(runs: list[dict[str, Any]]) -> list[float]:
    """Success on each other prompt, less the pretrained model's; mean over the runs."""
    return [
        100 * mean(run["transfer"][p] - PRETRAINED[run["seed"]]["transfer"][p] for run in runs)
        for p in runs[0]["transfer"]
    ]


def _is(shown: str, figure: float | None) -> bool:
    """Whether a cell is a figure, rounded; a dash is none."""
    if figure is None or shown == "-":
        return figure is None and shown == "-"
    return float(shown) == pytest.approx(figure, abs=0.51)


@pytest.mark.parametrize("row", STEPS)
def test_what_pays_is_what_was_measured(row):
    table = _table("step by step")
    assert list(table) == list(STEPS)
    seeds, *early, end, spread, worst = table[row]
    runs = [run for run in RUNS[STEPS[row]] if run["seed"] in _seeds(seeds)]
    assert len(runs) == len(_seeds(seeds))
    for labels, shown in zip((128, 256), early, strict=True):
        assert _is(shown, _after(runs, labels))
    assert _is(end, 100 * mean(run["success_normal"] for run in runs))
    before = [PRETRAINED[run["seed"]]["good_spread_normal"] for run in runs]
    kept = [run["good_spread_normal"] / of for run, of in zip(runs, before, strict=True)]
    assert _is(spread, 100 * mean(kept))
    assert _is(worst, min(_changes(runs)))


@pytest.mark.parametrize("row", ALONE)
def test_what_does_not_pay_is_what_was_measured(row):
    table = _table("what was tried")
    assert list(table) == list(ALONE)
    _, middle, end, bank, others = table[row]
    runs = [run for run in RUNS[ALONE[row]] if run["seed"] == 1]
    assert _is(middle, _after(runs, 256))
    assert _is(end, 100 * runs[0]["success_normal"])
    assert _is(bank, 100 * runs[0]["success_bank"])
    assert _is(others, mean(_changes(runs)))


def test_the_goals_are_met_by_the_last_row_with_the_seeds_that_nothing_was_tuned_on():
    runs = [run for run in RUNS[list(STEPS.values())[-1]] if run["seed"] in range(46, 51)]
    assert _after(runs, 256) >= 95
    assert min(_changes(runs)) >= -5.001
    for noise in ("normal", "bank"):
        of = [r[f"good_spread_{noise}"] / PRETRAINED[r["seed"]]["good_spread_normal"] for r in runs]
        assert mean(of) >= 0.9
    assert all(before - after <= 0.1 for run in runs for before, after in [run["normal_by_epoch"]])


def test_every_removed_setting_is_in_the_log_with_the_commit_that_has_it():
    removed = {
        name
        for setting, *_ in _table("what was tried").values()
        for name in re.findall(r"`(\w+)`", setting)
    }
    assert removed
    table = LOG.split("| setting at `9425af8` |")[1].split("\n\n")[0]
    assert removed <= set(re.findall(r"`(\w+)`", table))
