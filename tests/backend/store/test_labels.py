"""Hints, annotations, and what is frozen of them."""

from dataclasses import replace
from datetime import timedelta

from backend.run.records import Annotation
from backend.run.states import Event
from backend.store import Store
from tests.backend.conftest import CONFIG, Clock
from tests.backend.store.carried import carry_to_labelling, carry_to_learning, label


class TestLabels:
    def test_a_hint_makes_a_run_due_once(self, store: Store, clock: Clock):
        run = carry_to_labelling(store, project_id=5)
        assert [due.id for due, _ in store.take_due(30)] == [run.id]
        assert store.take_due(30) == []
        clock.pass_seconds(1)
        assert store.take_due(30) == []
        hint = store.hint(5, "ANNOTATION_CREATED", task_id=102)
        assert hint is not None and hint.epoch == 0
        [(due, hints)] = store.take_due(30)
        assert (due.id, hints) == (run.id, [hint])
        store.clear_hints(hints)
        clock.pass_seconds(1)
        assert store.take_due(30) == []
        clock.pass_seconds(30)
        assert len(store.take_due(30)) == 1

    def test_a_clock_that_is_set_back_keeps_no_run_from_its_labels(
        self, store: Store, clock: Clock
    ):
        carry_to_labelling(store, project_id=5)
        clock.pass_seconds(3600)
        assert len(store.take_due(30)) == 1
        clock.pass_seconds(-3600)
        assert len(store.take_due(30)) == 1
        assert store.take_due(30) == []

    def test_hints_wait_for_a_slow_label_studio(self, store: Store, clock: Clock):
        carry_to_labelling(store, project_id=5)
        store.take_due(30)
        store.hint(5, "ANNOTATION_CREATED")
        clock.pass_seconds(1)
        assert store.take_due(30, hint_seconds=3) == []
        clock.pass_seconds(3)
        assert len(store.take_due(30, hint_seconds=3)) == 1

    def test_a_deletion_is_traced_by_its_annotation(self, store: Store, clock: Clock):
        run = carry_to_labelling(store, project_id=5)
        label(store, run, ["good"], clock)
        hint = store.hint(5, "ANNOTATIONS_DELETED", annotation_ids=[1])
        assert hint is not None and hint.epoch == 0
        unknown = store.hint(5, "ANNOTATIONS_DELETED", annotation_ids=[999])
        assert unknown is not None and unknown.epoch is None

    def test_what_was_told_and_not_fetched_is_counted(self, store: Store, clock: Clock):
        run = carry_to_labelling(store, project_id=5)
        label(store, run, ["good"], clock)
        for number in (1, 2**40, 2**40, 3):
            store.hint(5, "ANNOTATION_CREATED", task_id=102, annotation_ids=[number])
        store.hint(5, "ANNOTATION_UPDATED", task_id=102, annotation_ids=[4])
        assert store.unseen(run) == 2

    def test_a_hint_of_a_strange_project(self, store: Store):
        assert store.hint(99, "ANNOTATION_CREATED") is None

    def test_freezing_marks_what_counted(self, store: Store, clock: Clock):
        claim = carry_to_learning(store, clock, ["good", None, "best", "bad"])
        rows = store.annotations(claim.run.id, 0)
        assert [row.frozen for row in rows] == [True, False, True, True]
        assert store.epochs(claim.run.id)[0].labelled_at == clock.now

    def test_merging_knows_whether_the_epoch_is_frozen(self, store: Store, clock: Clock):
        claim = carry_to_learning(store, clock, ["best", "bad", "bad", "bad"])
        seen = []
        store.merge_annotations(
            claim.run.id, 0, lambda known, frozen: seen.append((len(known), frozen)) or []
        )
        assert seen == [(4, True)]

    def test_of_two_who_merge_at_once_the_later_looks_again(self, store: Store, clock: Clock):
        run = carry_to_labelling(store)
        label(store, run, ["good", "bad"], clock)
        seen: list[list[str | None]] = []

        def turn_all(known: list[Annotation], _frozen: bool) -> list[Annotation]:
            seen.append([row.value for row in known])
            if len(seen) == 1:
                label(store, run, ["best", "bad"], clock)  # another worker, in the meantime
            return [replace(row, value="bad" if row.value == "good" else "good") for row in known]

        store.merge_annotations(run.id, 0, turn_all)
        assert seen == [["good", "bad"], ["best", "bad"]]
        assert [row.value for row in store.annotations(run.id)] == ["good", "good"]

    def test_times_keep_their_zone(self, store: Store, clock: Clock):
        run = carry_to_labelling(store)
        label(store, run, ["good"], clock)
        [row] = store.annotations(run.id)
        assert row.updated_at == clock.now
        assert row.updated_at.utcoffset() == timedelta(0)

    def test_notes_come_and_go(self, store: Store):
        run = store.create_run(CONFIG)
        store.note(run, "waits")
        assert store.run(run.id).error == "waits"
        store.note(run, None)
        assert store.run(run.id).error is None

    def test_a_note_on_a_run_that_went_on_says_nothing(self, store: Store):
        run = store.create_run(CONFIG)
        store.transition(run, Event.pause)
        store.note(run, "waits")
        assert store.run(run.id).error is None

    def test_set_project(self, store: Store):
        run = store.create_run(CONFIG)
        assert store.set_project(run.id, 9, "http://ls/projects/9").project_id == 9
