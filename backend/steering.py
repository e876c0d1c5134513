"""What people let happen to a run: the same acts, in the same words, on the command line and on the
run's page."""

from dataclasses import dataclass

from backend.run.records import Run
from backend.run.states import Event, allowed_events
from backend.settings import Settings
from backend.store import Store


@dataclass(frozen=True)
class Act:
    """Something that a person can let happen to a run, by the name of its command."""

    event: Event
    help: str
    asks: str = ""
    """What a page asks before it is done."""


ADVANCE = Act(
    Event.advance,
    "Learn now from the labels there are, without waiting for the rest of the epoch.",
)
PAUSE = Act(Event.pause, "Pause a run. Labels that people make meanwhile are kept.")
RESUME = Act(Event.resume, "Continue a run that was paused or has failed.")
EXTEND = Act(Event.extend, "Go on with a finished run, with all that it has learned.")
STOP = Act(
    Event.stop,
    "End a run for good. You can still `hero generate` with it and `hero export` it.",
    "Stop this run for good? It cannot be resumed. What it has learned stays.",
)
ACTS = (ADVANCE, PAUSE, RESUME, EXTEND, STOP)


def possible(run: Run) -> list[Act]:
    """What the run's state allows."""
    events = allowed_events(run.state)
    return [act for act in ACTS if act.event in events]


def let(settings: Settings, store: Store, run: Run, act: Act, *, epochs: int = 1) -> str:
    """Let an act happen to a run, in whatever state it is by now.

    Args:
        epochs: how many more of them, to extend it by.

    Returns:
        What came of it, as a sentence.

    Raises:
        WrongState: its state does not allow it.
        RunChanged: somebody else was quicker.
        NotEnoughFeedback, LabelStudioError: to advance.
    """
    if act is ADVANCE:
        return _advance(settings, store, run)
    if act is EXTEND:
        return _extend(store, run, epochs)
    run = store.transition(run.id, act.event)
    return f"Run {run.id} is {run.state} now."


def _advance(settings: Settings, store: Store, run: Run) -> str:
    from backend.label_studio import Gateway  # its SDK takes a second and 100 MB
    from backend.labels import closing
    from backend.labels.progress import count_labels

    run = closing.advance(store, Gateway(settings), run)
    counts = count_labels(store, run.id, run.epoch)
    return (
        f"Run {run.id} learns from {counts.judged} of {counts.total} labels of epoch "
        f"{run.epoch + 1}."
    )


def _extend(store: Store, run: Run, epochs: int) -> str:
    run = store.extend(run, epochs)
    more = "epoch" if epochs == 1 else "epochs"
    return (
        f"Run {run.id} goes on: {epochs} more {more} of {run.images_per_epoch} images, "
        f"{run.epochs} in all."
    )
