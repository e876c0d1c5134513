"""Several people label a run, or are asked for a part of it."""

import pytest

from backend.errors import LabelStudioUnreachable
from backend.labels.progress import count_labels
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import State
from backend.store import Store
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio, page
from tests.backend.worker.rounds import VALUES, poll


class TestTeams:
    @pytest.fixture
    def people(self, source: FakeLabelStudio) -> dict[str, int]:
        source.people = {n: f"{name}@x.org" for n, name in enumerate(("ann", "ben", "eve"), 1)}
        return {address: n for n, address in source.people.items()}

    def start(self, store: Store, worker: Worker, **plan: object) -> Run:
        run = store.create_run(CONFIG, labelling=Labelling(**plan), project_id=1)  # type: ignore[arg-type]
        worker.work_once()
        return store.run(run.id)

    @pytest.mark.parametrize("layout", ["image", "gallery"])
    def test_an_epoch_waits_for_two_people_who_may(
        self,
        worker: Worker,
        store: Store,
        source: FakeLabelStudio,
        people: dict[str, int],
        layout: str,
    ):
        run = self.start(
            store,
            worker,
            layout=layout,
            annotators_per_image=2,
            annotators=("ann@x.org", "ben@x.org"),
        )

        def label(person: int) -> None:
            if layout == "image":
                source.label_all(VALUES, 0, person)
            else:
                [task] = source.tasks
                source.annotate(task, page(run.id, 0, dict(enumerate(VALUES))), person)
            poll(worker)

        label(1)
        label(1)
        label(3)
        counts = count_labels(store, run.id, 0)
        assert store.run(run.id).state is State.labelling
        assert (counts.labelled, counts.votes, counts.votes_needed) == (0, 4, 8)
        assert counts.annotators == {"ann@x.org": 4}
        assert counts.uncounted == {"eve@x.org": 4}
        assert counts.silent == ("ben@x.org",)
        label(2)
        assert store.run(run.id).state is State.learning
        worker.work_once()
        used = {row.annotator for row in store.annotations(run.id, 0) if row.frozen}
        assert used == {"ann@x.org", "ben@x.org"}
        assert [image.verdict for image in store.images(run.id, 0)] == VALUES

    def test_a_page_once_more_by_the_same_person(
        self, worker: Worker, store: Store, source: FakeLabelStudio, engine: FakeEngine
    ):
        run = self.start(store, worker, layout="gallery", annotators_per_image=2)
        [task] = source.tasks
        source.annotate(task, page(run.id, 0, {0: "best", 1: "good"}))
        again = source.annotate(task, page(run.id, 0, {0: "bad", 2: "best"}))
        source.change(again, page(run.id, 0, {3: "best"}))
        source.delete(source.annotate(task, page(run.id, 0, {0: "best"}), 2))
        store.hint(1, "START_TRAINING")
        poll(worker)
        worker.work_once()
        assert engine.feedback == [(["bad", "bad", "bad", "best"], 3)]

    def test_addresses_that_were_not_to_be_had_at_first(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        run = self.start(store, worker)
        source.users_hidden = True
        source.annotate(1, "good")
        poll(worker)
        assert [row.annotator for row in store.annotations(run.id)] == [None]
        source.users_hidden = False
        poll(worker)
        assert [row.annotator for row in store.annotations(run.id)] == ["ann@example.com"]

    def test_without_addresses_nobody_can_be_told_from_those_who_may_not(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        run = self.start(store, worker, annotators=("ann@example.com",))
        source.label_all(VALUES, 0)
        source.trouble = LabelStudioUnreachable("Cannot list the users; try again.")
        poll(worker)
        assert store.run(run.id).error == "Cannot list the users; try again."
        source.trouble = None
        poll(worker)
        assert store.run(run.id).state is State.learning

    def test_a_task_whose_data_was_edited_keeps_its_image(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        run = self.start(store, worker)
        [image] = [image for image in store.images(run.id, 0) if image.index == 1]
        source.tasks[image.task_id] |= {"index": 2, "hero_image_id": f"{run.id}/0/0002"}
        source.annotate(image.task_id, "good")
        poll(worker)
        assert [row.index for row in store.annotations(run.id)] == [1]

    def test_a_task_whose_data_was_edited_to_another_epochs(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        run = self.start(store, worker)
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        [old] = [image for image in store.images(run.id, 0) if image.index == 1]
        source.tasks[old.task_id] |= {"epoch": 2, "hero_image_id": f"{run.id}/1/0001"}
        store.hint(1, "ANNOTATION_UPDATED", task_id=old.task_id)
        poll(worker)
        assert [row.value for row in store.annotations(run.id, 1)] == ["bad"]
        assert [row.frozen for row in store.annotations(run.id, 0)] == [True] * 4
        assert [image.verdict for image in store.images(run.id, 0)] == VALUES

    def test_the_label_budget(
        self, worker: Worker, store: Store, source: FakeLabelStudio, engine: FakeEngine
    ):
        run = self.start(store, worker, label_budget=2)
        assert all(image.asked for image in store.images(run.id, 0))
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        assert [image.asked for image in store.images(run.id, 1)] == [False, False, True, True]
        asked = [data["index"] for data in source.tasks.values() if data["epoch"] == 2]
        assert sorted(asked) == [2, 3]
        source.label_all(["x", "x", "bad", "best"], 1)
        poll(worker)
        worker.work_once()
        images = store.images(run.id, 1)
        assert [image.verdict for image in images] == ["bad", "bad", "bad", "best"]
        assert [image.verdict_by for image in images] == ["embedding"] * 2 + ["people"] * 2

    def test_advancing_with_a_label_budget(
        self, worker: Worker, store: Store, source: FakeLabelStudio, engine: FakeEngine
    ):
        run = self.start(store, worker, label_budget=3)
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        assert count_labels(store, run.id, 1).total == 3
        tasks = {data["index"]: n for n, data in source.tasks.items() if data["epoch"] == 2}
        source.annotate(tasks[3], "good")
        store.hint(1, "START_TRAINING")
        poll(worker)
        assert "none of them is bad" in str(store.run(run.id).error)
        source.annotate(tasks[2], "bad")
        store.hint(1, "START_TRAINING")
        poll(worker)
        worker.work_once()
        assert engine.feedback[-1] == (["bad", None, "bad", "good"], None)
