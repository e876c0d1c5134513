"""Annotations to rows: whatever happens on the way, one look makes them equal."""

from dataclasses import replace

import pytest

from backend import consensus
from backend.errors import NotEnoughFeedback, WrongState
from backend.labels.collect import (
    advance,
    check_feedback,
    close_if_labelled,
    merge,
    read,
    reconcile,
)
from backend.run.records import Run
from backend.run.states import Event, State
from backend.store import Store
from tests.backend.conftest import CONFIG
from tests.backend.fake_label_studio import FakeLabelStudio

PATHS = [f"{index}.png" for index in range(4)]
VALUES = ["good", "bad", "best", "NOPE", None]


def labelling(store: Store, source: FakeLabelStudio) -> Run:
    run = store.create_run(CONFIG, project_id=1)
    for index in range(4):
        key = f"{run.id}/0/{index:04d}"
        source.tasks[100 + index] = {"hero_image_id": key, "epoch": 0, "index": index}
    claim = store.claim("worker", 60)
    assert claim is not None
    run = store.batch_written(claim, PATHS, None, 1.0)
    return store.published(replace(claim, run=run), {i: 100 + i for i in range(4)}, 1.0)


@pytest.fixture
def source() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.fixture
def run(store: Store, source: FakeLabelStudio) -> Run:
    return labelling(store, source)


def freeze(store: Store, run: Run) -> None:
    store.transition(run, Event.advance)
    claim = store.claim("worker", 60)
    assert claim is not None
    store.freeze(claim, lambda rows: consensus.decide(rows, 4))


class TestReconcile:
    def test_new_changed_and_deleted(self, store: Store, source: FakeLabelStudio, run: Run):
        first = source.annotate(100, "good")
        second = source.annotate(101, "bad")
        reconcile(store, source, run)
        assert [row.value for row in store.annotations(run.id)] == ["good", "bad"]
        source.change(first, "best")
        source.delete(second)
        reconcile(store, source, run)
        rows = store.annotations(run.id)
        assert [(row.value, row.deleted) for row in rows] == [("best", False), ("bad", True)]

    def test_looking_twice_writes_nothing(self, store: Store, source: FakeLabelStudio, run: Run):
        source.annotate(100, "good")
        assert len(reconcile(store, source, run).changed) == 1
        assert reconcile(store, source, run).changed == []

    def test_an_older_answer_changes_nothing(self, run: Run, store: Store, source: FakeLabelStudio):
        number = source.annotate(100, "good")
        old = source.labels(1, run.id, 0)
        source.change(number, "bad")
        reconcile(store, source, run)
        rows = [row for task in old for a in task.annotations for row in read(run, task, a, {})]
        assert merge(store.annotations(run.id), rows, frozen=False) == []

    def test_late_ones_are_kept_and_marked(self, store: Store, source: FakeLabelStudio, run: Run):
        first = source.annotate(100, "good")
        second = source.annotate(101, "bad")
        reconcile(store, source, run)
        freeze(store, run)
        source.change(first, "bad")
        source.delete(second)
        third = source.annotate(102, "best")
        reconcile(store, source, run, [0])
        rows = {row.ls_id: row for row in store.annotations(run.id)}
        changed, deleted, new = rows[first], rows[second], rows[third]
        assert (changed.value, changed.late_value, changed.late) == ("good", "bad", True)
        assert (deleted.value, deleted.deleted, deleted.late) == ("bad", True, True)
        assert (new.value, new.late, new.frozen) == ("best", True, False)
        verdicts = [image.verdict for image in store.images(run.id, 0)]
        assert verdicts == ["good", "bad", None, None]

    def test_deleted_tasks_are_told(self, store: Store, source: FakeLabelStudio, run: Run):
        del source.tasks[103]
        assert "1 image of epoch 1 cannot" in str(reconcile(store, source, run).lacking(run))

    def test_nothing_lacks(self, store: Store, source: FakeLabelStudio, run: Run):
        assert reconcile(store, source, run).lacking(run) is None

    def test_a_run_without_a_project(self, store: Store, source: FakeLabelStudio):
        lonely = store.create_run(CONFIG)
        assert reconcile(store, source, lonely).changed == []
        assert source.requests == 0


class TestClosing:
    def test_complete(self, store: Store, source: FakeLabelStudio, run: Run):
        source.label_all(["good", "bad", "best", "bad"], 0)
        reconcile(store, source, run)
        assert close_if_labelled(store, run).state is State.learning

    @pytest.mark.parametrize(
        "values", [["good", "bad", "good", "bad"], ["best", "bad", "bad", "NOPE"]]
    )
    def test_not_complete(self, store: Store, source: FakeLabelStudio, run: Run, values: list[str]):
        source.label_all(values, 0)
        reconcile(store, source, run)
        assert close_if_labelled(store, run).state is State.labelling

    def test_all_bad(self, store: Store, source: FakeLabelStudio, run: Run):
        source.label_all(["bad"] * 4, 0)
        reconcile(store, source, run)
        assert close_if_labelled(store, run).state is State.learning

    def test_advance_fetches_first(self, store: Store, source: FakeLabelStudio, run: Run):
        source.annotate(100, "good")
        source.annotate(101, "bad")
        assert advance(store, source, run).state is State.learning
        assert len(store.annotations(run.id)) == 2

    @pytest.mark.parametrize(
        ("values", "lacking"), [([], "good"), (["good"], "bad"), (["bad", "bad"], "good")]
    )
    def test_advance_needs_something_to_compare(
        self, store: Store, source: FakeLabelStudio, run: Run, values: list[str], lacking: str
    ):
        for index, value in enumerate(values):
            source.annotate(100 + index, value)
        with pytest.raises(NotEnoughFeedback, match=f"none of them is {lacking}"):
            advance(store, source, run)
        assert store.run(run.id).state is State.labelling

    @pytest.mark.parametrize("value", ["good", "bad"])
    def test_a_whole_epoch_of_one_kind_may_advance(
        self, store: Store, source: FakeLabelStudio, run: Run, value: str
    ):
        source.label_all([value] * 4, 0)
        reconcile(store, source, run)
        check_feedback(run, store.counts(run.id, 0))

    def test_advance_of_a_run_that_is_not_labelled(self, store: Store, source: FakeLabelStudio):
        with pytest.raises(WrongState, match="generating"):
            advance(store, source, store.create_run(CONFIG))
