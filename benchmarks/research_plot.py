"""Success on N(0, I) against labels: a panel a family of variants, each beside HERO."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.kept_runs import Row
from benchmarks.plots import GREY, save

COLUMNS = 2
WIDTH, HEIGHT = 12, 3.4
Curve = tuple[list[float], list[float]]


def curve(rows: Sequence[Row], pretrained: Mapping[int, Row]) -> Curve:
    """Labels and the seeds' mean success, from the pretrained model on where it is known."""
    labels = [0, *rows[0]["labels"]]
    start = [pretrained[row["seed"]]["success_epoch"] for row in rows if row["seed"] in pretrained]
    steps = [start, *zip(*(row["normal_by_epoch"] for row in rows), strict=True)]
    points = [
        (x, sum(values) / len(values)) for x, values in zip(labels, steps, strict=True) if values
    ]
    return [x for x, _ in points], [y for _, y in points]


def draw(
    families: Mapping[str, Mapping[str, Curve]], baseline: tuple[str, Curve] | None, path: Path
) -> None:
    """Write the panels of the families that have curves; the baseline is grey in each."""
    shown = {family: curves for family, curves in families.items() if curves}
    rows = math.ceil(max(len(shown), 1) / COLUMNS)
    figure = Figure(figsize=(WIDTH, HEIGHT * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).flatten()
    for axis, (family, curves) in zip(axes, shown.items(), strict=False):
        _panel(axis, family, curves, baseline)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    save(figure, path)


def _panel(
    axis: Axes, family: str, curves: Mapping[str, Curve], baseline: tuple[str, Curve] | None
) -> None:
    if baseline and baseline[0] not in curves:
        name, points = baseline
        axis.plot(*points, color=GREY, linestyle=":", label=name)
    for name, points in curves.items():
        axis.plot(*points, marker="o", markersize=3, linewidth=1.2, label=name)
    axis.set(title=family, xlabel="labels", ylabel="success on N(0, I)", ylim=(0, 1.03))
    axis.tick_params(labelbottom=True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
