"""What the rows of `benchmarks.research` say, next to its goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from benchmarks.intervals import Mean
from benchmarks.kept_runs import Row
from benchmarks.paper.curves import needed

LEVELS = (0.8, 0.95)
GOAL_LABELS = 256
"""After so many labels success shall be .95, and fall no more."""


def labels_to(row: Row, before: Row | None, level: float) -> int | None:
    """Labels until success on N(0, I) is `level`, interpolated as in the paper's tables; None if it
    never is."""
    points = list(zip(row["labels"], row["normal_by_epoch"], strict=True))
    found = needed([(0, before["success_epoch"]) if before else (0, 0.0), *points], level).labels
    return None if found is None else round(found)


def at_goal(row: Row) -> float | None:
    """Success on N(0, I) after `GOAL_LABELS`; None of a shorter run."""
    return dict(zip(row["labels"], row["normal_by_epoch"], strict=True)).get(GOAL_LABELS)


def largest_fall(series: Sequence[float]) -> float:
    """From one value to the next; 0 where none is lower."""
    return max([0.0, *(before - after for before, after in pairwise(series))])


def fall_afterwards(row: Row) -> float | None:
    """The largest fall on N(0, I) between epochs after `GOAL_LABELS`; None of a shorter run."""
    pairs = zip(row["labels"], row["normal_by_epoch"], strict=True)
    late = [success for labels, success in pairs if labels >= GOAL_LABELS]
    return largest_fall(late) if len(late) > 1 else None


def collapsed(row: Row) -> bool:
    """Whether success, on N(0, I) or on the batch, ends below half of its best."""
    return any(
        series[-1] < max(series) / 2 for series in (row["normal_by_epoch"], row["success_by_epoch"])
    )


def kept_spread(row: Row, before: Row | None, noise: str) -> float | None:
    """Spread among the successes, as a share of that among the pretrained model's."""
    after = row[f"good_spread_{noise}"]
    of = before["good_spread_normal"] if before else None
    return after / of if after is not None and of else None


def transfer_changes(row: Row, before: Row | None) -> dict[str, float]:
    """Success on each other prompt, less the pretrained model's."""
    if before is None:
        return {}
    return {
        prompt: success - before["transfer"][prompt] for prompt, success in row["transfer"].items()
    }


def figures(rows: Sequence[Row], pretrained: dict[int, Row]) -> dict[str, Any]:
    """A variant's, over its seeds; a figure that no seed has is None."""
    before = [pretrained.get(row["seed"]) for row in rows]
    pairs = list(zip(rows, before, strict=True))
    changes = [change for row, of in pairs if (change := transfer_changes(row, of))]
    prompts = {prompt for change in changes for prompt in change}
    by_prompt = {
        prompt: sum(change[prompt] for change in changes) / len(changes) for prompt in prompts
    }
    return {
        "success_at_goal": _mean(map(at_goal, rows)),
        "success_normal": _mean(row["success_normal"] for row in rows),
        "success_bank": _mean(row["success_bank"] for row in rows),
        **{
            f"labels_to_{level}": [labels_to(row, of, level) for row, of in pairs]
            for level in LEVELS
        },
        "kept_spread_normal": _mean(kept_spread(row, of, "normal") for row, of in pairs),
        "kept_spread_bank": _mean(kept_spread(row, of, "bank") for row, of in pairs),
        "largest_fall": max(largest_fall(row["normal_by_epoch"]) for row in rows),
        "fall_afterwards": max(
            (fall for row in rows if (fall := fall_afterwards(row)) is not None), default=None
        ),
        "transfer": _mean(sum(change.values()) / len(change) for change in changes),
        "transfer_by_prompt": dict(sorted(by_prompt.items(), key=lambda item: (item[1], item[0]))),
        "collapsed": sum(map(collapsed, rows)),
        "minutes": _mean(row["minutes"] for row in rows),
    }


def _mean(values: Any) -> dict[str, float | None] | None:
    known = [value for value in values if value is not None]
    return asdict(Mean.of(known)) if known else None
