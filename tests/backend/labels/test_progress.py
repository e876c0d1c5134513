"""How far an epoch's labelling is, and about how long it takes, unless nobody can tell."""

from datetime import timedelta

from backend.consensus import decide
from backend.labels.collect import reconcile
from backend.labels.progress import count_labels, progress
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.store import Store
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.filled import START, annotations


def seconds_left(store: Store, letters: list[str]) -> float | None:
    plan = Labelling(annotators_per_image=3)
    run = store.create_run(
        {"prompt": "a rose", "epochs": 1, "images_per_epoch": len(letters)}, labelling=plan
    )
    rows = annotations(run, 0, letters)
    return progress(
        run, rows, decide(rows, len(letters), plan), START + timedelta(1e-5)
    ).seconds_left


def test_a_pace_while_somebody_still_labels(store: Store):
    assert seconds_left(store, ["tg", "bg", "b"]) is not None


def test_no_pace_once_all_who_label_have_done_their_part(store: Store):
    assert seconds_left(store, ["tg", "bg", "bb"]) is None


def test_counts(store: Store, source: FakeLabelStudio, run: Run):
    assert count_labels(store, run.id, 0).labelled == 0
    for task_id, value in ((100, "good"), (101, "NOPE"), (102, "best")):
        source.annotate(task_id, value)
    reconcile(store, source, run)
    counts = count_labels(store, run.id, 0)
    assert (counts.labelled, counts.total, counts.has_best) == (2, 4, True)
    assert (counts.good, counts.bad, counts.complete) == (2, 0, False)
    assert counts.annotators == {"ann@example.com": 2}
    [problem] = counts.problems
    assert problem.startswith("image 1: the annotation says 'NOPE'")
