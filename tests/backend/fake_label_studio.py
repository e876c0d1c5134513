"""A Label Studio in memory, for tests of what collects and publishes."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from backend.errors import (
    LabelConfigUnusable,
    LabelStudioRefused,
    LabelStudioUnreachable,
    ProjectGone,
)
from backend.label_studio import NewTask, Project, Server
from backend.label_studio.leftovers import overlaps
from backend.run.labelling import Labelling, Layout
from backend.run.records import TaskLabels
from backend.tasks.best_question import question_of
from backend.tasks.images import image_key
from backend.tasks.publishing import Shown

Value = str | list[dict[str, Any]] | None
"""good, bad, best, ..., or a whole result; None for nothing."""


class FakeLabelStudio:
    """Has the gateway's methods; `tasks` is keyed by task id."""

    def __init__(self) -> None:
        self.tasks: dict[int, dict[str, Any]] = {}
        self.annotations: dict[int, dict[str, Any]] = {}
        self.people = {1: "ann@example.com", 2: "bob@example.com"}
        self.down = False
        self.gone = False
        self.trouble: Exception | None = None
        self.users_hidden = False
        self.page_problem = ""
        self.page_asks = True
        self.meanwhile: Callable[[], object] | None = None
        """Called once, when the next answer is on its way."""
        self.connected: list[str] = []
        self.tabs: dict[str, list[str]] = {}
        self.descriptions: list[str] = []
        self.maximum_annotations = 1
        self.overlaps: dict[int, int] = {}
        self.requests = 0
        self._ids = itertools.count(1)
        self._time = datetime(2026, 1, 1, tzinfo=UTC)

    # -- what the gateway offers -----------------------------------------------------------

    def ping(self) -> Server:
        self._ask()
        return Server("1.23.2", "owner@example.com")

    def ensure_project(
        self, run_id: str, title: str, prompt: str, labelling: Labelling, *, pixelated: bool
    ) -> Project:
        self._ask()
        return Project(1, "http://label-studio/projects/1", created=True)

    def connect_images(self, project_id: int, run_id: str, layout: Layout) -> None:
        self._ask()
        self.connected.append("images")

    def connect_backend(self, project_id: int) -> None:
        self._ask()
        self.connected.append("backend")

    def publish(
        self, project_id: int, run_id: str, epoch: int, tasks: Sequence[NewTask]
    ) -> dict[int, int]:
        self._ask()
        judged = [t for t in self.labels(project_id, run_id, epoch) if not t.question]
        there = [task.indexes for task in judged]
        for task in tasks:
            shown = Shown.by(task.data)
            assert shown is not None
            if shown.indexes not in there:
                score = task.prediction.score if task.prediction else None
                self.tasks[next(self._ids)] = {**task.data, "score": score}
        return {
            index: task.task_id
            for task in self.labels(project_id, run_id, epoch)
            if not task.question
            for index in task.indexes
        }

    def ask(self, project_id: int, question: NewTask) -> int | None:
        self._ask()
        if not self.page_asks:
            return None
        number = next(self._ids)
        self.tasks[number] = dict(question.data)
        self.overlaps[number] = 1
        return number

    def answer(self, index: int, person: int = 1) -> int:
        """Somebody is asked for the best, and names an image."""
        [(task_id, data)] = [
            (number, data) for number, data in self.tasks.items()
            if question_of(data) and number in self.unfinished()
        ]  # fmt: skip
        question = question_of(data)
        assert question is not None
        key = image_key(question[0], question[1], index)
        said = {"from_name": "best", "type": "choices", "value": {"choices": [key]}}
        return self.annotate(task_id, [said], person)

    def labels(self, project_id: int, run_id: str, epoch: int) -> list[TaskLabels]:
        self._ask()
        found = []
        for task_id, data in self.tasks.items():
            shown = Shown.by(data)
            if shown is not None and (shown.run_id, shown.epoch) == (run_id, epoch):
                mine = [dict(a) for a in self.annotations.values() if a["task"] == task_id]
                found.append(TaskLabels(task_id, epoch, shown.indexes, mine))
            elif (asked := question_of(data)) and asked[:2] == (run_id, epoch):
                mine = [dict(a) for a in self.annotations.values() if a["task"] == task_id]
                found.append(TaskLabels(task_id, epoch, asked[2], mine, question=True))
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return found

    def put_away(self, project_id: int, run_id: str, epoch: int) -> None:
        self._ask()
        tasks = [
            SimpleNamespace(
                id=task_id,
                data=data,
                is_labeled=task_id not in self.unfinished(),
                annotations=[a for a in self.annotations.values() if a["task"] == task_id],
            )
            for task_id, data in self.tasks.items()
        ]
        self.overlaps |= overlaps(tasks, run_id, epoch)

    def remove_tasks(self, task_ids: Collection[int]) -> None:
        self._ask()
        for task_id in task_ids:
            self.tasks.pop(task_id, None)

    def has_project(self, project_id: int) -> bool:
        return not self.gone and bool(self.tasks)

    def check_page(self, project_id: int, layout: Layout) -> None:
        self._ask()
        if self.page_problem:
            raise LabelConfigUnusable(self.page_problem)

    def emails(self, wanted: Collection[int] = ()) -> dict[int, str]:
        self._ask()
        if self.users_hidden:
            raise LabelStudioRefused("Cannot list the users; try again.")
        return self.people

    def describe(self, project_id: int, run_id: str, text: str) -> None:
        self._ask()
        self.descriptions.append(text)

    def show_tab(self, project_id: int, title: str, keys: Sequence[str]) -> None:
        self._ask()
        self.tabs[title] = list(keys)

    def _ask(self) -> None:
        self.requests += 1
        if self.trouble is not None:
            raise self.trouble
        if self.down:
            raise LabelStudioUnreachable("Cannot reach Label Studio; start it.")
        if self.gone:
            raise ProjectGone("Cannot find the project; start a new run.")

    # -- what people do --------------------------------------------------------------------

    def annotate(
        self, task_id: int, value: Value, person: int = 1, *, cancelled: bool = False
    ) -> int:
        number = next(self._ids)
        now = self._tick()
        self.annotations[number] = {
            "id": number,
            "task": task_id,
            "result": result(value),
            "was_cancelled": cancelled,
            "completed_by": person,
            "lead_time": 1.5,
            "created_at": now,
            "updated_at": now,
        }
        return number

    def change(self, number: int, value: Value) -> None:
        self.annotations[number] |= {"result": result(value), "updated_at": self._tick()}

    def delete(self, number: int) -> None:
        del self.annotations[number]

    def delete_task(self, task_id: int) -> None:
        del self.tasks[task_id]
        for number, annotation in list(self.annotations.items()):
            if annotation["task"] == task_id:
                self.delete(number)

    def unfinished(self) -> set[int]:
        """The tasks that people are given."""
        by = {task_id: set[int]() for task_id in self.tasks}
        for annotation in self.annotations.values():
            if not annotation["was_cancelled"]:
                by[annotation["task"]].add(annotation["completed_by"])
        overlaps = dict.fromkeys(self.tasks, self.maximum_annotations) | self.overlaps
        return {task_id for task_id in self.tasks if len(by[task_id]) < overlaps[task_id]}

    def label_all(self, values: Sequence[str], epoch: int, person: int = 1) -> None:
        for task_id, data in list(self.tasks.items()):
            if data["epoch"] == epoch and not question_of(data):
                self.annotate(task_id, values[data["index"]], person)

    def _tick(self) -> str:
        self._time += timedelta(seconds=1)
        return self._time.isoformat().replace("+00:00", "Z")


def result(value: Value) -> Any:
    """What an annotation holds that says this of its image."""
    if value is None:
        return []
    if not isinstance(value, str):
        return value
    return [
        {
            "from_name": "verdict",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [value]},
        }
    ]


def page(run_id: str, epoch: int, values: Mapping[int, str]) -> list[dict[str, Any]]:
    """What a gallery page's annotation holds that calls images good or best, by index."""
    keys = {index: image_key(run_id, epoch, index) for index in values}
    good = [keys[index] for index, value in values.items() if value == "good"]
    best = [keys[index] for index, value in values.items() if value == "best"] or ["none"]
    return [
        {"from_name": name, "to_name": "prompt", "type": "choices", "value": {"choices": chosen}}
        for name, chosen in (("good", good), ("best", best))
        if chosen
    ]
