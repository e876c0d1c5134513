"""Success by the number of labels, and how many are needed for a given success."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.intervals import Mean
from benchmarks.kept_runs import Row
from benchmarks.plots import Line

Curve = Sequence[tuple[int, float]]
"""(labels given, success), in order."""


def from_bank(row: Row) -> Curve:
    """Success on what the run draws: each epoch's batch, and at the end fresh images.

    The first batch is from N(0, I); so are all of a method without a noise bank.
    """
    measure = "success_bank" if "success_bank" in row else "success_normal"
    batches = [*row["success_by_epoch"], row[measure]]
    return [(row["images_per_epoch"] * epoch, value) for epoch, value in enumerate(batches)]


def from_normal(row: Row) -> Curve:
    """Success on N(0, I): fresh images after each epoch, or the batches where they are from it."""
    if "success_bank" not in row:
        return from_bank(row)
    points = [row["success_pretrained"], *row["normal_by_epoch"], row["success_normal"]]
    return [(row["images_per_epoch"] * epoch, value) for epoch, value in enumerate(points)]


@dataclass(frozen=True)
class Needed:
    """Labels until a success was reached for the first time."""

    labels: float | None
    """None where it was not reached."""
    given: int
    """All labels of the run."""

    @property
    def log(self) -> float:
        """The logarithm of the labels, or of all of them; no label counts as one."""
        return math.log(max(1.0, self.given if self.labels is None else self.labels))


def needed(curve: Curve, target: float) -> Needed:
    """Where the curve first reaches the target.

    Between two epochs it is interpolated in the logarithm of the labels; between none and the first
    epoch, where that does not exist, in the labels.
    """
    given = curve[-1][0]
    if curve[0][1] >= target:
        return Needed(float(curve[0][0]), given)
    for (before, low), (after, high) in itertools.pairwise(curve):
        if high >= target:
            part = (target - low) / (high - low)
            if before == 0:
                return Needed(part * after, given)
            return Needed(before * (after / before) ** part, given)
    return Needed(None, given)


@dataclass(frozen=True)
class Factor:
    """A geometric mean over seeds with its 95 % interval (Student's t on the logarithms)."""

    mean: float
    low: float | None
    high: float | None
    bound: str = ""
    """`at least` or `at most` where some run did not reach the success within its labels."""

    def text(self, digits: int = 0) -> str:
        """Such as `210 (160 to 275)` or `at least 900`."""
        mean = f"{self.mean:.{digits}f}"
        if self.bound or self.low is None or self.high is None:
            return f"{self.bound} {mean}".strip()
        return f"{mean} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def labels_needed(runs: Sequence[Needed]) -> Factor | None:
    """Over the seeds; a run that did not get there counts as all of its labels, and at least."""
    if all(run.labels is None for run in runs):
        return None
    missed = any(run.labels is None for run in runs)
    return _factor([run.log for run in runs], "at least" if missed else "")


def times_fewer(runs: Sequence[Needed], reference: Sequence[Needed]) -> Factor | None:
    """Reference's labels over ours, seed by seed; None where neither says anything.

    Where the reference did not get there the ratio is at least that of its labels so far, where
    ours did not, at most.
    """
    missed = [any(run.labels is None for run in side) for side in (runs, reference)]
    if all(missed):
        return None
    logs = [theirs.log - ours.log for ours, theirs in zip(runs, reference, strict=True)]
    return _factor(logs, "at most" if missed[0] else "at least" if missed[1] else "")


def reached(runs: Sequence[Needed]) -> str:
    """Such as `2 of 3`."""
    return f"{sum(run.labels is not None for run in runs)} of {len(runs)}"


def _factor(logs: Sequence[float], bound: str) -> Factor:
    mean = Mean.of(logs)
    if mean.half is None or bound:
        return Factor(math.exp(mean.mean), None, None, bound)
    return Factor(
        math.exp(mean.mean), math.exp(mean.mean - mean.half), math.exp(mean.mean + mean.half)
    )


def line(label: str, colour: str, curves: Sequence[Curve]) -> Line:
    """The seeds' curves and their mean, for a plot; what they are drawn over need not be labels."""
    places = [place for place, _ in curves[0]]
    seeds = [[value for _, value in curve] for curve in curves]
    means = [Mean.of(values) for values in zip(*seeds, strict=True)]
    return Line(label, colour, places, means, seeds=seeds)
