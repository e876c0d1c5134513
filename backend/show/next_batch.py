"""How long until the next images can be labelled, or the run ends. Pure."""

from collections.abc import Sequence
from datetime import datetime

from backend.run.records import Epoch, Run
from backend.run.states import WORK, State

_AHEAD = {
    State.learning: (State.learning, State.generating, State.publishing),
    State.generating: (State.generating, State.publishing),
    State.publishing: (State.publishing,),
}
"""What has to be done, from each stage on, until people have something to do."""
_FORECAST = {State.generating: "drawing_seconds", State.learning: "learning_seconds"}
PUBLISHING_SECONDS = 2.0
"""Taken for the first publishing of a run."""


def seconds_left(run: Run, epochs: Sequence[Epoch], now: datetime) -> float | None:
    """Seconds until the next images stand in Label Studio, or the last epoch has been learned from.

    A stage is taken to last as long as it did the last time, or as the trial of the model found.

    Args:
        epochs: the run's so far.

    Returns:
        None where people have something to do, or nothing tells how long it takes.
    """
    if run.state not in WORK:
        return None
    is_last = run.epoch + 1 >= run.epochs and run.state is State.learning
    stages = _AHEAD[run.state][:1] if is_last else _AHEAD[run.state]
    usual = [_usual(stage, run, epochs) for stage in stages]
    passed = max((now - run.updated_at).total_seconds(), 0.0)
    first = usual[0] if usual[0] is not None else _by_progress(run, passed)
    if first is None or None in usual[1:]:
        return None
    return max(first - passed, 0.0) + sum(seconds for seconds in usual[1:] if seconds is not None)


def share_done(run: Run, left: float | None, now: datetime) -> float | None:
    """How much of that time is over, from 0 to 1; None where it is not known."""
    if left is None:
        return None
    passed = max((now - run.updated_at).total_seconds(), 0.0)
    return passed / (passed + left) if passed + left else 0.0


def _usual(stage: State, run: Run, epochs: Sequence[Epoch]) -> float | None:
    for epoch in reversed(epochs):
        if stage in epoch.seconds:
            return epoch.seconds[stage]
    if stage is State.publishing:
        return PUBLISHING_SECONDS
    forecast = (run.forecast or {}).get(_FORECAST[stage])
    return None if forecast is None else float(forecast)


def _by_progress(run: Run, passed: float) -> float | None:
    """The whole of a stage whose steps are counted, at the pace so far."""
    if not (run.stage_total and run.stage_done):
        return None
    return passed * run.stage_total / run.stage_done
