"""The people: each labels in a thread, by Label Studio's own API, and is not kept from it by a
server that is away for a moment."""

import random
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import httpx

from backend.label_studio.browser_session import Member
from backend.run.records import Run
from backend.run.states import Event, State
from backend.tasks.label_config import template, verdict_control
from tests.chaos import opinion
from tests.chaos.ledger import Label, Ledger

CONTROL = verdict_control(template())
PEOPLE = 2


class Wish(StrEnum):
    """What a person does once, beside labelling, when it fits."""

    delete_task = "task deleted"
    delete_project = "project deleted"
    late_change = "label changed late"
    late_deletion = "label deleted late"
    late_label = "label made late"


_DESTRUCTIVE = (Wish.delete_task, Wish.delete_project)


class LifeEnds(Exception):
    """There is nothing to label any more."""


class Person:
    """One of the people; with one vote an image each labels every second image, with two all.

    Args:
        transition: lets an event happen to a run, as `hero pause` and `hero resume` do.
    """

    def __init__(
        self,
        number: int,
        member: Member,
        ledger: Ledger,
        transition: Callable[[Run, Event], None],
        rng: random.Random,
    ) -> None:
        self.number = number
        self.gate = threading.Lock()
        """Held while the person does something."""
        self.done: list[Wish] = []
        self._member, self._ledger, self._transition, self._rng = member, ledger, transition, rng
        self._runs: list[Run] = []
        self._frozen: set[tuple[str, int]] = set()
        self._wishes: list[Wish] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._label_forever, daemon=True)

    def start(self) -> None:
        """Begin to label."""
        self._thread.start()

    def end(self) -> None:
        """Stop labelling; what is under way is finished first, or given up."""
        self._ending.set()
        self._thread.join(60)

    def tell(self, runs: list[Run], frozen: set[tuple[str, int]]) -> None:
        """The runs as they are now, and the epochs whose verdicts are decided."""
        self._runs, self._frozen = runs, frozen

    def wish(self, wish: Wish) -> None:
        """Do this when it fits."""
        self._wishes.append(wish)

    # -- labelling -------------------------------------------------------------------------

    def _label_forever(self) -> None:
        try:
            while not self._ending.wait(0.1):
                for run in self._runs:
                    if run.state is State.finished or run.project_id is None:
                        continue
                    if run.project_id not in self._ledger.gone_projects:
                        self._label(run)
        except LifeEnds:
            return

    def _label(self, run: Run) -> None:
        tasks = [task for task in self._tasks(run) if self._is_asked(run, task)]
        waiting = [task for task in tasks if not self._mine(task)]
        lacking = {_place(task) for task in waiting}
        lacking -= {_place(task) for task in tasks if self._mine(task)}
        self._rng.shuffle(waiting)
        for task in waiting:
            with self.gate:
                if self._ending.is_set():
                    raise LifeEnds
                # The epoch cannot be closed while another image of this person's has no label.
                epoch, others = _place(task)[0], lacking - {_place(task)}
                stays_open = any(other == epoch for other, _ in others)
                if stays_open and epoch == run.epoch and self._do_wish(run, task):
                    return
                self._judge(run, task, changes_mind=stays_open and self._rng.random() < 0.15)
                lacking.discard(_place(task))
            if self._ending.wait(self._rng.uniform(0, 0.1)):
                raise LifeEnds
        with self.gate:
            self._do_late_wish(run)

    def _tasks(self, run: Run) -> list[dict[str, Any]]:
        query = {"project": run.project_id, "fields": "all", "page_size": 1000}
        answer = self._ask("GET", "/api/tasks", params=query)
        found: list[dict[str, Any]] = answer.json().get("tasks", []) if answer.is_success else []
        return [task for task in found if "index" in task["data"]]  # the others ask for the best

    def _is_asked(self, run: Run, task: dict[str, Any]) -> bool:
        everybody = run.labelling.annotators_per_image > 1
        return everybody or task["data"]["index"] % PEOPLE == self.number

    def _mine(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        def by(annotation: dict[str, Any]) -> Any:
            who = annotation.get("completed_by")
            return who.get("id") if isinstance(who, dict) else who

        return [a for a in task.get("annotations") or [] if by(a) == self._member.user_id]

    def _judge(self, run: Run, task: dict[str, Any], *, changes_mind: bool) -> None:
        epoch, index = _place(task)
        right = opinion.verdicts(run.id, epoch)[index]
        made = self._say(run, task, opinion.WRONG[right] if changes_mind else right)
        if made is not None and changes_mind:
            self._change(made, right)

    def _say(self, run: Run, task: dict[str, Any], value: str) -> int | None:
        """Make an annotation; its id, or None if the task was deleted."""
        path = f"/api/tasks/{task['id']}/annotations/"
        before = {a["id"] for a in self._mine(task)}
        body = {"result": [CONTROL.result(value)], "lead_time": 1.5}
        made = None
        while True:
            try:
                answer = self._member.http.post(path, json=body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                made = answer.json()["id"] if answer.is_success else None
                break
            # Whether it was taken is not known: look.
            there = self._ask("GET", path)
            if not there.is_success:
                return None
            new = [a["id"] for a in self._mine({"annotations": there.json()})]
            if found := [number for number in new if number not in before]:
                made = max(found)
                break
        if made is not None:
            made_by = (task["id"], *_place(task), self.number, value)
            self._ledger.add(Label(made, run.id, run.project_id or 0, *made_by))
        return made

    def _change(self, annotation_id: int, value: str) -> None:
        body = {"result": [CONTROL.result(value)]}
        if self._ask("PATCH", f"/api/annotations/{annotation_id}/", json=body).is_success:
            self._ledger.change(annotation_id, value)

    def _ask(self, method: str, path: str, **said: Any) -> httpx.Response:
        """Ask until there is an answer; only what may be repeated."""
        while True:
            try:
                answer = self._member.http.request(method, path, **said)
                if answer.status_code < 500:
                    return answer
            except httpx.TransportError:
                pass
            if self._ending.wait(0.3):
                raise LifeEnds

    # -- wishes ----------------------------------------------------------------------------

    def _take(self, *kinds: Wish) -> Wish | None:
        found = next((wish for wish in self._wishes if wish in kinds), None)
        if found is not None:
            self._wishes.remove(found)
        return found

    def _do_wish(self, run: Run, task: dict[str, Any]) -> bool:
        """Delete something in an epoch that is being labelled."""
        wish = self._take(*_DESTRUCTIVE)
        if wish is None:
            return False
        if wish is Wish.delete_project:
            self._ask("DELETE", f"/api/projects/{run.project_id}/")
            self._ledger.remove_project(run.project_id or 0)
        else:
            self._ask("DELETE", f"/api/tasks/{task['id']}/")
            self._ledger.remove_task(task["id"])
            self._transition(run, Event.pause)
            self._transition(run, Event.resume)
        self.done.append(wish)
        return True

    def _do_late_wish(self, run: Run) -> None:
        """Say something of an epoch that is closed."""
        theirs = [
            label
            for label in self._ledger.labels()
            if label.run_id == run.id
            and label.person == self.number
            and (run.id, label.epoch) in self._frozen
        ]
        if not theirs:
            return
        wish = self._take(Wish.late_change, Wish.late_deletion, Wish.late_label)
        if wish is None:
            return
        label = self._rng.choice(theirs)
        if wish is Wish.late_change:
            self._change(label.id, opinion.WRONG[label.value])
        elif wish is Wish.late_deletion:
            self._ask("DELETE", f"/api/annotations/{label.id}/")
            self._ledger.remove(label.id)
        else:
            data = {"epoch": label.epoch + 1, "index": label.index}
            there = self._ask("GET", f"/api/tasks/{label.task_id}/annotations/").json()
            task = {"id": label.task_id, "data": data, "annotations": there}
            self._say(run, task, opinion.WRONG[label.value])
        self.done.append(wish)


def _place(task: dict[str, Any]) -> tuple[int, int]:
    """Epoch and index of a task's image; the page counts epochs from 1."""
    return task["data"]["epoch"] - 1, task["data"]["index"]
