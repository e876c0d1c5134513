"""What an epoch's annotations amount to so far, and how far its labelling is."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from backend.consensus import BEST, Decision, decide, latest_votes, name_of, person_of
from backend.labels.progress_text import seconds_left
from backend.run.records import Annotation, Counts, Run
from backend.store import Store


def count_labels(store: Store, run_id: str, epoch: int) -> Counts:
    """How far the labelling of an epoch is."""
    run = store.run(run_id)
    rows = store.votes(run.id, epoch)
    return progress(run, rows, decide_epoch(store, run, epoch, rows), store.now())


def decide_epoch(
    store: Store, run: Run, epoch: int, rows: Sequence[Annotation], threshold: float = 0.5
) -> Decision:
    """The verdicts that an epoch's annotations make, by the run's plan and what came before.

    Args:
        threshold: the similarity from which the embedding calls an image good.
    """
    images = store.images(run.id, epoch)
    history: list[Annotation] = []
    if run.labelling.consensus == "dawid-skene":
        history = [
            replace(row, deleted=False)
            for row in store.annotations(run.id)
            if row.epoch < epoch and row.frozen
        ]
    return decide(
        rows,
        len(images) or run.images_per_epoch,
        run.labelling,
        history=history,
        asked=[image.index for image in images if image.asked] if images else None,
        predictions=[image.prediction for image in images],
        threshold=threshold,
        prompts=[image.prompt for image in images if image.prompt is not None],
    )


def progress(run: Run, rows: Sequence[Annotation], decision: Decision, now: datetime) -> Counts:
    """What there is and what lacks. Pure.

    Args:
        rows: the epoch's annotations.
        decision: what they amount to.
    """
    plan = run.labelling
    votes = latest_votes(rows, plan)
    annotators = Counter(name_of(vote) for vote in votes)
    needed = plan.annotators_per_image * len(decision.asked)
    there = sum(
        plan.annotators_per_image
        if decision.images[index].labelled
        else decision.images[index].voters
        for index in decision.asked
    )
    left = None
    if plan.layout == "image" and min(annotators.values(), default=0) < len(decision.asked):
        made = {vote.ls_id: vote.created_at for vote in votes}
        left = seconds_left(list(made.values()), needed - there, now)
    return Counts(
        labelled=decision.labelled,
        total=len(decision.asked),
        has_best=bool(decision.bests) and (len(run.prompts) == 1 or not decision.undecided),
        good=decision.good,
        bad=decision.bad,
        complete=decision.complete,
        votes=there,
        votes_needed=needed,
        annotators=dict(annotators),
        uncounted=_uncounted(run, rows),
        silent=_silent(run, annotators),
        problems=_problems(run, rows, votes),
        undecided=len(decision.undecided),
        best_overruled=decision.best_index is None and any(vote.value == BEST for vote in votes),
        seconds_left=left,
        bests=len(decision.bests),
        prompts=len(run.prompts),
    )


def _uncounted(run: Run, rows: Iterable[Annotation]) -> dict[str, int]:
    judged = {
        (name_of(row), row.index)
        for row in rows
        if row.value and not row.deleted and not run.labelling.may_vote(row.annotator)
    }
    return dict(Counter(name for name, _ in sorted(judged)))


def _silent(run: Run, annotators: Iterable[str]) -> tuple[str, ...]:
    named = run.labelling.annotators
    if len(named) > run.labelling.annotators_per_image:
        return ()
    heard = {name.lower() for name in annotators}
    return tuple(name for name in named if name not in heard)


def _problems(run: Run, rows: Iterable[Annotation], votes: Iterable[Annotation]) -> tuple[str, ...]:
    """What is wrong with annotations that nobody has made good, once for each."""
    mended = {(person_of(vote), vote.index) for vote in votes}
    said: dict[int, str] = {}
    for row in rows:
        if row.problem and not row.deleted and (person_of(row), row.index) not in mended:
            what = f"image {row.index}" if run.labelling.layout == "image" else name_of(row)
            said.setdefault(row.ls_id, f"{what}: {row.problem}")
    return tuple(said.values())
