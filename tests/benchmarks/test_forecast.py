"""The table of the forecasts, and the committed one."""

import json

from benchmarks.cells import RESULTS
from benchmarks.forecast import GIGABYTE, table


def test_each_forecast_stands_beside_its_epoch() -> None:
    forecast = {
        "images_at_once": 32,
        "latents_at_once": 40,
        "trial_seconds": 2.0,
        "drawing_seconds": 6.0,
        "learning_seconds": 9.0,
        "peak_bytes": GIGABYTE,
    }
    epoch = {"drawing_seconds": 8.0, "learning_seconds": 2.0, "peak_bytes": GIGABYTE // 2}
    (row,) = table({"hero": {"forecast": forecast, "epoch": epoch}}).rows
    assert row == ["hero", "32 / 40", "2.0", "6.0 + 9.0", "8.0 + 2.0", "1.50", "1.00", "0.50"]


def test_the_committed_forecasts_came_true_within_a_factor_of_two() -> None:
    runs = json.loads((RESULTS / "forecast.json").read_text())["runs"]
    assert len(runs) == 3
    for row in runs.values():
        forecast, epoch = (
            each["drawing_seconds"] + each["learning_seconds"]
            for each in (row["forecast"], row["epoch"])
        )
        assert 0.5 < forecast / epoch < 2
        assert 0.5 < row["forecast"]["peak_bytes"] / row["epoch"]["peak_bytes"] < 2
    assert (RESULTS / "forecast.md").read_text().endswith(table(runs).markdown())
