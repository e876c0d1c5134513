"""Plots of success, with error bars or a thin line a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from benchmarks.intervals import Mean

WIDTH, HEIGHT = 11, 4.2
TITLES = {
    "bank": "200 images from pi_HERO (bank)",
    "normal": "200 images from N(0, I) (normal)",
}
GREY = "#777777"


@dataclass(frozen=True)
class Line:
    """One way of labelling at several places of the x axis."""

    label: str
    colour: str
    x: Sequence[float]
    y: Sequence[Mean]
    named: bool = True
    """Whether the legend has it."""
    seeds: Sequence[Sequence[float]] = ()
    """Each seed's values, where they are drawn instead of the intervals."""


def line_of(
    label: str, colour: str, points: Sequence[tuple[float, Mean]], *, named: bool = True
) -> Line:
    """A line through these places and means."""
    return Line(label, colour, [x for x, _ in points], [mean for _, mean in points], named)


@dataclass(frozen=True)
class Panel:
    """One measure, of TITLES or by a title of its own."""

    measure: str
    lines: Sequence[Line]
    levels: dict[str, Mean]
    """Horizontal lines for comparison, by label."""


def draw(
    panels: Sequence[Panel], path: Path, x_label: str, ticks: dict[int, str] | None = None
) -> None:
    """The panels beside each other, with one legend; `ticks` names places of the x axis."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, axis in zip(panels, axes, strict=True):
        for label, level in panel.levels.items():
            axis.axhline(level.mean, color=GREY, linestyle=":", linewidth=1)
            axis.annotate(
                label,
                (1, level.mean),
                xycoords=("axes fraction", "data"),
                xytext=(-3, 2),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color=GREY,
            )
        for line in panel.lines:
            for values in line.seeds:
                axis.plot(line.x, values, color=line.colour, linewidth=0.7, alpha=0.5)
            axis.errorbar(
                line.x,
                [mean.mean for mean in line.y],
                yerr=None if line.seeds else [mean.half or 0 for mean in line.y],
                label=line.label if line.named else None,
                marker="o",
                markersize=4,
                capsize=2,
                linewidth=1.2,
                elinewidth=0.8,
                color=line.colour,
            )
        axis.set(title=TITLES.get(panel.measure, panel.measure), xlabel=x_label, ylim=(0, 1.03))
        if ticks:
            axis.set_xticks(list(ticks), list(ticks.values()))
        axis.spines[["top", "right"]].set_visible(False)
    by_seed = any(line.seeds for panel in panels for line in panel.lines)
    axes[0].set_ylabel(f"success (mean and {'each seed' if by_seed else '95 % interval'})")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the same one twice is the same file."""
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
