"""Several people on a real Label Studio, and what they delete there."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.labels import closing
from backend.labels.progress import count_labels
from backend.run.labelling import Labelling
from backend.run.states import Event, State
from backend.tasks.label_config import template, verdict_control
from tests.e2e.service import Service
from tests.e2e.test_service_circle import home, pipeline, service

__all__ = ["home", "pipeline", "service"]

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


def eventually(true: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found
    return found


class Person:
    """One who labels, with an account and a session of their own."""

    def __init__(self, service: Service, name: str) -> None:
        self.email = f"{name}@x.org"
        self.http: httpx.Client = service.label_studio.invite(self.email, "open-sesame-1")
        self.made: dict[int, int] = {}
        """The latest annotation, by task."""

    def body(self, value: str | None) -> dict[str, Any]:
        control = verdict_control(template())
        result = [] if value is None else [control.result(value)]
        return {"result": result, "lead_time": 2.0, "was_cancelled": value is None}

    def say(self, task_id: int, value: str | None) -> None:
        path = f"/api/tasks/{task_id}/annotations/"
        answer = self.http.post(path, json=self.body(value)).raise_for_status()
        self.made[task_id] = answer.json()["id"]

    def draft(self, task_id: int, value: str) -> None:
        path = f"/api/tasks/{task_id}/drafts"
        self.http.post(path, json=self.body(value)).raise_for_status()

    def next_epoch(self, project_id: int) -> int:
        """The epoch of the task that Label Studio hands this person next."""
        answer = self.http.get(f"/api/projects/{project_id}/next/").raise_for_status()
        return answer.json()["data"]["epoch"] - 1

    def change(self, task_id: int, value: str) -> None:
        path = f"/api/annotations/{self.made[task_id]}/"
        self.http.patch(path, json={"result": self.body(value)["result"]}).raise_for_status()

    def delete(self, task_id: int) -> None:
        self.http.delete(f"/api/annotations/{self.made[task_id]}/").raise_for_status()


def test_an_epoch_of_five_people(service: Service, pipeline: Path):
    ann, ben, cem, dora, eve = (
        Person(service, name) for name in ("ann", "ben", "cem", "dora", "eve")
    )
    plan = Labelling(
        annotators_per_image=2,
        annotators=(ann.email, ben.email, cem.email),
        adjudicators=(dora.email,),
    )
    run = service.wait(service.start_run(pipeline, labelling=plan), State.labelling, epoch=0)
    store = service.store
    tasks = [image.task_id for image in store.images(run.id, 0)]

    for task, value in zip(tasks, ["best", "good", "bad", "bad"], strict=True):
        ann.say(task, value)
        eve.say(task, "good")
    ann.change(tasks[1], "best")
    ben.say(tasks[0], "NOPE")
    ben.say(tasks[0], "good")
    ben.say(tasks[1], None)
    ben.say(tasks[1], "good")
    ben.say(tasks[2], "good")
    ben.delete(tasks[2])
    ben.say(tasks[3], "bad")
    eventually(lambda: count_labels(store, run.id, 0).votes == 7)
    counts = count_labels(store, run.id, 0)
    assert (counts.labelled, counts.total, counts.votes_needed) == (3, 4, 8)
    assert counts.annotators == {ann.email: 4, ben.email: 3}
    assert counts.uncounted == {eve.email: 4}

    cem.say(tasks[2], "bad")
    dora.say(tasks[1], "bad")
    eventually(lambda: count_labels(store, run.id, 0).labelled == 4)
    eventually(lambda: count_labels(store, run.id, 0).bad == 3)
    # What ann called the best is bad by the adjudicator, and one good image is left.
    service.wait(run, State.labelling, epoch=1)

    images = store.images(run.id, 0)
    verdicts = [(image.verdict, image.verdict_by) for image in images]
    assert verdicts == [
        ("best", "people"),
        ("bad", "adjudicator"),
        ("bad", "people"),
        ("bad", "people"),
    ]
    used = store.votes(run.id, 0)
    assert {row.annotator for row in used} == {ann.email, ben.email, cem.email, dora.email}
    assert len(used) == 9

    ann.change(tasks[2], "good")
    cem.delete(tasks[2])
    ben.say(tasks[3], "good")
    late = eventually(
        lambda: len(rows := [r for r in store.annotations(run.id, 0) if r.late]) == 3 and rows
    )
    assert {(row.annotator, row.value, row.late_value, row.deleted) for row in late} == {
        (ann.email, "bad", "good", False),
        (cem.email, "bad", None, True),
        (ben.email, "good", None, False),
    }
    assert store.images(run.id, 0) == images
    assert store.votes(run.id, 0)[0].value == used[0].value


def test_what_an_epoch_closed_early_leaves_is_in_nobodys_way(service: Service, pipeline: Path):
    fay, gus = Person(service, "fay"), Person(service, "gus")
    plan = Labelling(annotators_per_image=2)
    run = service.start_run(pipeline, labelling=plan, images_per_epoch=6)
    run = service.wait(run, State.labelling, epoch=0)
    store, project_id = service.store, run.project_id or 0
    tasks = [image.task_id or 0 for image in store.images(run.id, 0)]
    for person in (fay, gus):
        person.say(tasks[0], "good")
    fay.say(tasks[1], "bad")
    fay.say(tasks[2], None)
    gus.draft(tasks[3], "bad")
    assert fay.next_epoch(project_id) == gus.next_epoch(project_id) == 0

    closing.advance(store, service.gateway, store.run(run.id))
    service.wait(run, State.labelling, epoch=1)
    assert fay.next_epoch(project_id) == gus.next_epoch(project_id) == 1
    there = list(service.sdk.tasks.list(project=project_id))
    closed = {task.id: task.overlap for task in there if task.data["epoch"] == 1}
    assert closed == dict(zip(tasks, [2, 1, 0, 0, 0, 0], strict=True))
    assert all(task.is_labeled == (task.id in closed) for task in there)
    assert len(there) == 12

    gus.say(tasks[3], "bad")
    [late] = eventually(lambda: [row for row in store.annotations(run.id, 0) if row.late])
    assert (late.annotator, late.value) == (gus.email, "bad")
    assert store.run(run.id).error is None


def test_what_is_deleted_in_label_studio_is_made_again(label_studio, home: Path, pipeline: Path):
    service = Service(home, label_studio, poll_seconds=0.5).start()
    store = service.store

    def resume(run_id: str) -> None:
        if store.run(run_id).state is not State.failed:
            store.transition(run_id, Event.pause)
        store.transition(run_id, Event.resume)

    try:
        run = service.wait(service.start_run(pipeline), State.labelling, epoch=0)
        tasks = [image.task_id for image in store.images(run.id, 0)]
        service.annotate(tasks[0], "good")
        service.sdk.tasks.delete(str(tasks[1]))
        eventually(lambda: "1 image of epoch 1 cannot" in (store.run(run.id).error or ""))
        resume(run.id)
        eventually(lambda: (now := store.run(run.id)).state is State.labelling and not now.error)
        again = [image.task_id for image in store.images(run.id, 0)]
        assert [old == new for old, new in zip(tasks, again, strict=True)] == [
            True,
            False,
            True,
            True,
        ]
        assert count_labels(store, run.id, 0).labelled == 1

        page = template()
        broken = page.replace('value="best" alias="best"', 'value="top" alias="top"')
        service.sdk.projects.update(run.project_id, label_config=broken)
        eventually(lambda: '<Choice value="best"/>' in (store.run(run.id).error or ""))
        service.sdk.projects.update(run.project_id, label_config=page)
        eventually(lambda: store.run(run.id).error is None)

        service.gateway.delete_project(run.project_id)
        eventually(lambda: store.run(run.id).state is State.failed)
        assert "`hero resume` puts" in str(store.run(run.id).error)
        resume(run.id)
        run = service.wait(run, State.labelling, epoch=0)
        assert run.project_id is not None and run.project_url is not None
        service.label(run, ["good", "bad", "best", "bad"])
        service.wait(run, State.labelling, epoch=1)
    finally:
        service.stop()
