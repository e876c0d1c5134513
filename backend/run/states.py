"""The state machine of a run: which state follows which event. Pure; no I/O.

    generating -> publishing -> labelling -> learning -> generating ... -> finished

A run that works or waits can be paused, stopped, or fail; it remembers the state it left and
resumes there. One that was being labelled resumes by publishing, which puts back what Label Studio
has lost meanwhile and leaves alone what is there. `finished` and `stopped` are the ends: nothing
leads out of `stopped`, and out of `finished` only `extend`.
"""

from enum import StrEnum

from backend.errors import WrongState


class State(StrEnum):
    """Where a run stands."""

    generating = "generating"
    publishing = "publishing"
    labelling = "labelling"
    learning = "learning"
    paused = "paused"
    failed = "failed"
    finished = "finished"
    stopped = "stopped"


class Event(StrEnum):
    """What can happen to a run."""

    batch_written = "batch_written"
    """The epoch's images lie on the disk."""
    published = "published"
    """Every image has its task in Label Studio."""
    labelled = "labelled"
    """Every image has a verdict, and there is a best one."""
    advance = "advance"
    """A person asks to learn from the labels there are."""
    learned = "learned"
    """The update is on the disk; the next epoch begins."""
    finish = "finish"
    """The last epoch's update is on the disk, or the model is good enough."""
    extend = "extend"
    """A person asks a finished run for more epochs."""
    pause = "pause"
    resume = "resume"
    stop = "stop"
    fail = "fail"


BY_PEOPLE = (Event.advance, Event.extend, Event.pause, Event.resume, Event.stop)
"""Events that are also commands; the others are the worker's."""

ACTIVE = (State.generating, State.publishing, State.labelling, State.learning)
"""States in which a run goes round the circle."""
WORK = (State.generating, State.publishing, State.learning)
"""States in which a worker has something to do; in `labelling` people have."""
ENDED = (State.finished, State.stopped)
"""States in which nothing happens by itself any more."""

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.generating, Event.batch_written): State.publishing,
    (State.publishing, Event.published): State.labelling,
    (State.labelling, Event.labelled): State.learning,
    (State.labelling, Event.advance): State.learning,
    (State.learning, Event.learned): State.generating,
    (State.learning, Event.finish): State.finished,
    (State.finished, Event.extend): State.generating,
    **{(state, Event.pause): State.paused for state in ACTIVE},
    **{(state, Event.fail): State.failed for state in ACTIVE},
    **{(state, Event.stop): State.stopped for state in (*ACTIVE, State.paused, State.failed)},
}
"""All transitions but `resume`, which leads from paused or failed back to the state left."""
RESUMED = {State.labelling: State.publishing}
"""Where `resume` leads instead."""


def next_state(state: State, event: Event, paused_from: State | None) -> tuple[State, State | None]:
    """The state after `event`, and the state to resume to.

    Args:
        state: where the run stands.
        event: what happens.
        paused_from: the state a paused or failed run left; None otherwise.

    Returns:
        (state after, paused_from after).

    Raises:
        WrongState: the event may not happen in this state.
    """
    if event is Event.resume and state in (State.paused, State.failed) and paused_from in ACTIVE:
        return RESUMED.get(paused_from, paused_from), None
    target = TRANSITIONS.get((state, event))
    if target is None:
        possible = [each for each in allowed_events(state) if each in BY_PEOPLE]
        raise WrongState(
            f"Cannot {event.replace('_', ' ')} a run that is {state}; "
            f"possible now: {', '.join(possible) or 'nothing, it has ended'}."
        )
    return target, state if target in (State.paused, State.failed) else None


def allowed_events(state: State) -> list[Event]:
    """The events that may happen in `state`, in the enum's order."""
    resumable = {Event.resume} if state in (State.paused, State.failed) else set()
    possible = {event for at, event in TRANSITIONS if at is state} | resumable
    return [event for event in Event if event in possible]
