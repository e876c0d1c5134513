"""Where it is not clear which image is the best, people are asked in one last task."""

import pytest

from backend.errors import LabelStudioUnreachable, RunChanged
from backend.labels.collect import reconcile
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import Event, State
from backend.store import Store
from backend.tasks.best_question import question_of
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio, page
from tests.backend.worker.rounds import poll

NO_BEST = ["good", "bad", "good", "bad"]


def questions(source: FakeLabelStudio) -> dict[int, tuple[str, int, tuple[int, ...]]]:
    found = {number: question_of(data) for number, data in source.tasks.items()}
    return {number: asked for number, asked in found.items() if asked}


def labelled(worker: Worker, source: FakeLabelStudio, values: list[str] = NO_BEST) -> None:
    worker.work_once()
    source.label_all(values, 0)
    poll(worker)


class TestAsking:
    def test_a_forgotten_best_is_asked_for_once_and_the_answer_decides(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio, engine: FakeEngine
    ):
        labelled(worker, source)
        poll(worker)
        [(number, asked)] = questions(source).items()
        assert asked == (run.id, 0, (0, 2))
        assert store.epochs(run.id)[0].question_task_id == number
        waiting = store.run(run.id)
        assert (waiting.state, waiting.error) == (State.labelling, None)
        source.answer(2)
        poll(worker)
        assert store.run(run.id).state is State.learning
        worker.work_once()
        assert engine.feedback == [(["good", "bad", "best", "bad"], 2)]
        pick = next(row for row in store.annotations(run.id, 0) if row.pick)
        assert (pick.index, pick.value, pick.task_id, pick.frozen) == (2, "best", number, True)
        assert len(store.images(run.id, 0)) == 4
        assert len(questions(source)) == 1

    def test_nobody_is_asked_where_the_best_is_clear(
        self, worker: Worker, run: Run, source: FakeLabelStudio, store: Store
    ):
        labelled(worker, source, ["good", "bad", "best", "bad"])
        assert questions(source) == {}
        assert store.run(run.id).state is State.learning

    def test_a_gallery_asks_on_a_page_of_its_own(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        run = store.create_run(CONFIG, project_id=1, labelling=Labelling(layout="gallery"))
        worker.work_once()
        source.annotate(1, page(run.id, 0, dict(enumerate(NO_BEST))))
        poll(worker)
        [number] = questions(source)
        assert [option["value"][-4:] for option in source.tasks[number]["images"]] == [
            "0000",
            "0002",
        ]
        source.answer(0)
        poll(worker)
        worker.work_once()
        assert store.epochs(run.id)[0].best_index == 0

    def test_a_page_that_cannot_ask_is_told(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        source.page_asks = False
        labelled(worker, source)
        assert "hero advance" in str(store.run(run.id).error)
        assert store.epochs(run.id)[0].question_task_id is None


class TestTrouble:
    def test_an_answer_that_cannot_be_used_is_asked_for_again(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        labelled(worker, source)
        [first] = questions(source)
        source.annotate(first, "good")  # a key that judges an image, pressed out of habit
        poll(worker)
        second = max(questions(source))
        assert second != first
        assert store.epochs(run.id)[0].question_task_id == second
        assert [row.value for row in store.annotations(run.id, 0) if not row.pick] == NO_BEST
        source.answer(0)
        poll(worker)
        assert store.run(run.id).state is State.learning

    def test_a_question_whose_worker_died_before_it_was_written_is_the_one(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        labelled(worker, source)
        store.asked(store.run(run.id), None)
        poll(worker)
        [number] = questions(source)
        assert store.epochs(run.id)[0].question_task_id == number

    def test_of_two_questions_one_goes(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        labelled(worker, source)
        [first] = questions(source)
        source.tasks[first + 100] = dict(source.tasks[first])
        poll(worker)
        assert list(questions(source)) == [first]

    def test_a_deleted_question_is_asked_again(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        labelled(worker, source)
        [first] = questions(source)
        source.delete_task(first)
        poll(worker)
        assert len(questions(source)) == 1

    def test_a_run_that_has_gone_on_is_not_written_to(self, store: Store, run: Run, worker: Worker):
        worker.work_once()
        before = store.run(run.id)
        store.transition(run.id, Event.pause)
        with pytest.raises(RunChanged, match="has gone on"):
            store.asked(before, 7)

    def test_label_studio_may_be_away(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        source.label_all(NO_BEST, 0)
        source.meanwhile = lambda: setattr(source, "trouble", LabelStudioUnreachable("Away."))
        poll(worker)
        source.trouble = None
        poll(worker)
        assert len(questions(source)) == 1


class TestUnanswered:
    def test_it_leaves_the_queue_when_the_epoch_is_closed(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        labelled(worker, source)
        [number] = questions(source)
        assert number in source.unfinished()
        store.transition(run.id, Event.advance)
        worker.work_once()
        assert number not in source.unfinished()
        assert store.epochs(run.id)[0].best_index is None

    def test_a_late_answer_changes_nothing(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        labelled(worker, source)
        [number] = questions(source)
        store.transition(run.id, Event.advance)
        worker.work_once()
        key = source.tasks[number]["marks"][0]["value"]
        said = {"from_name": "best", "type": "choices", "value": {"choices": [key]}}
        source.annotate(number, [said])
        reconcile(store, source, store.run(run.id), {0})
        pick = next(row for row in store.annotations(run.id, 0) if row.pick)
        assert (pick.late, pick.frozen) == (True, False)
        assert store.epochs(run.id)[0].best_index is None

    def test_somebody_edits_a_label_instead(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        labelled(worker, source)
        first = next(a["id"] for a in source.annotations.values() if a["task"] == 1)
        source.change(first, "best")
        poll(worker)
        assert store.run(run.id).state is State.learning

    def test_several_people_who_tie(self, worker: Worker, store: Store, source: FakeLabelStudio):
        run = store.create_run(CONFIG, project_id=1, labelling=Labelling(annotators_per_image=2))
        source.maximum_annotations = 2
        worker.work_once()
        source.label_all(["best", "bad", "good", "bad"], 0, person=1)
        source.label_all(["good", "bad", "best", "bad"], 0, person=2)
        poll(worker)
        [number] = questions(source)
        assert questions(source)[number][2] == (0, 2)
        source.answer(2, person=1)
        poll(worker)
        assert number not in source.unfinished()
        worker.work_once()
        row = store.epochs(run.id)[0]
        assert row.best_index == 2
        assert row.best_reason == "most votes for the best (1), asked for the best: ann@example.com"
