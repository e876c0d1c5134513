"""Annotations to rows: whatever happens on the way, one look makes them equal."""

from backend.consensus.votes import latest_votes
from backend.labels import closing
from backend.labels.collect import merge, read, reconcile
from backend.run.records import Run
from backend.run.states import Event
from backend.store import Store
from tests.backend.conftest import CONFIG
from tests.backend.fake_label_studio import FakeLabelStudio


def freeze(store: Store, run: Run) -> None:
    store.transition(run, Event.advance)
    claim = store.claim("worker", 60)
    assert claim is not None
    closing.freeze(store, claim)


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
        assert merge(store.annotations(run.id), rows, frozen=False, before=[]) == []

    def test_an_edit_is_seen_after_label_studios_clock_stepped_back(
        self, run: Run, store: Store, source: FakeLabelStudio
    ):
        number = source.annotate(100, "good")
        reconcile(store, source, run)
        source.change(number, "bad")
        source.annotations[number]["updated_at"] = "2020-01-01T00:00:00Z"
        reconcile(store, source, run)
        assert [row.value for row in store.annotations(run.id)] == ["bad"]
        assert reconcile(store, source, run).changed == []

    def test_doubled_tasks_go_unless_they_are_labelled(
        self, run: Run, store: Store, source: FakeLabelStudio
    ):
        for number, task in ((900, 100), (901, 101), (902, 102)):
            source.tasks[number] = dict(source.tasks[task])
        source.annotate(901, "good")
        source.annotate(101, "bad")
        reconcile(store, source, run)
        assert sorted(source.tasks) == [100, 101, 102, 103, 901]
        votes = latest_votes(store.annotations(run.id))
        assert [(vote.index, vote.value) for vote in votes] == [(1, "bad")]

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
