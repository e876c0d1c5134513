"""How far an epoch's labelling is: about how long it takes, and when nobody can tell."""

from datetime import timedelta

from backend.consensus import decide
from backend.labels.progress import progress
from backend.run.labelling import Labelling
from backend.store import Store
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
