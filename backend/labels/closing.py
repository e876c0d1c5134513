"""Closing an epoch: with all its labels, or early, and for good."""

from backend.errors import NotEnoughFeedback, WrongState
from backend.labels.collect import LabelSource, reconcile
from backend.labels.progress import count_labels, decide_epoch
from backend.run.records import Claim, Counts, Run
from backend.run.states import Event, State
from backend.store import Store
from backend.tasks.predictions import good_from


def check_feedback(run: Run, counts: Counts) -> None:
    """See that learning from the labels there are makes sense.

    Raises:
        NotEnoughFeedback: nothing good, or nothing bad, has been labelled yet.
    """
    if (counts.good and counts.bad) or counts.judged >= counts.total:
        return
    lacking = "good" if not counts.good else "bad"
    others = sum(counts.uncounted.values())
    by = "; the labels of " + " and ".join(counts.uncounted) + " do not count" if others else ""
    raise NotEnoughFeedback(
        f"Cannot advance the run {run.id}: {counts.judged} of {counts.total} images are labelled "
        f"and none of them is {lacking}, so there is nothing to compare{by}; label at least one "
        "good and one bad image."
    )


def advance(store: Store, source: LabelSource, run: Run) -> Run:
    """Close the epoch with the labels there are, as a person asked.

    Raises:
        WrongState: the run is not being labelled.
        NotEnoughFeedback: the labels would teach nothing.
    """
    if run.state is not State.labelling:
        raise WrongState(
            f"Cannot advance the run {run.id}: it is {run.state}, and only a run that is being "
            "labelled can learn early."
        )
    reconcile(store, source, run)
    check_feedback(run, count_labels(store, run.id, run.epoch))
    return store.transition(run, Event.advance)


def close_if_labelled(store: Store, run: Run) -> Run:
    """Go on to learning if the epoch has all the labels it needs."""
    if run.state is State.labelling and count_labels(store, run.id, run.epoch).complete:
        return store.transition(run, Event.labelled)
    return run


def freeze(store: Store, claim: Claim) -> None:
    """Decide the verdicts of the epoch that a worker closes, and freeze them with their votes.

    What takes seconds (crowd-kit's import, Dawid-Skene) is done before the run is locked; where
    annotations came meanwhile, it is decided again.

    Raises:
        LeaseLost: nothing was changed.
    """
    run = claim.run
    threshold = good_from(store.epochs(run.id), run.epoch)
    while True:
        rows = store.annotations(run.id, run.epoch)
        if store.freeze(claim, rows, decide_epoch(store, run, run.epoch, rows, threshold)):
            return
