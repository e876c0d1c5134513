"""Annotations from a JSON export of Label Studio's -> annotations in a run's own project.

Label Studio stays the one truth: what is imported is made there, under the person who labelled, and
comes to the run like every other annotation. Tasks are found by their `hero_image_id`, so the file
may come from another Label Studio, in which the run's tasks were labelled. Importing a file twice
makes nothing twice.
"""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeGuard

from backend.errors import BadInput, LabelStudioError
from backend.labels.import_people import People
from backend.labels.parsing import read
from backend.run.records import Run, TaskLabels
from backend.store import Store
from backend.tasks.gallery import OTHERS_CONTROL
from backend.tasks.publishing import Shown

MARK = uuid.UUID("6f1d5a06-6a5e-4a3c-9d0b-0d2c9a4e7f11")
"""Namespace of the unique ids that imported annotations get."""

Entry = dict[str, Any]
"""A task or an annotation, as a JSON export has it."""


class Project(Protocol):
    """What is asked of the gateway."""

    def exported(self, project_id: int) -> list[Entry]:
        """Label Studio's own JSON export."""
        ...

    def controls_of(self, project_id: int, layout: Any) -> set[str]:
        """Names of the controls in which people give verdicts."""
        ...

    def emails(self) -> dict[int, str]:
        """E-mail address of each user, by id."""
        ...

    def annotate(self, task_id: int, annotator_id: int, unique_id: str, said: Entry) -> bool:
        """Make an annotation; False if one with that unique id is there."""
        ...


@dataclass(frozen=True)
class NewAnnotation:
    """An annotation to make."""

    task_id: int
    annotator_id: int
    unique_id: str
    said: Entry


@dataclass
class Plan:
    """What an import will do."""

    new: list[NewAnnotation] = field(default_factory=list)
    present: int = 0
    """Annotations of the file that are in the project already."""
    changed: int = 0
    """Those of them that have been changed there since."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many annotations (or tasks) are not imported, by the reason."""

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Note that something is not imported."""
        self.left_out[reason] += count

    @property
    def reasons(self) -> list[str]:
        """Why something is not imported, one line a reason."""
        return [f"{count} {reason}" for reason, count in self.left_out.items()]


def read_file(path: Path) -> list[Entry]:
    """The tasks of a JSON export.

    Raises:
        BadInput: it is none.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"Cannot import {path}: {error.strerror or error}; name a JSON export of Label "
            "Studio's."
        ) from error
    except ValueError as error:
        raise BadInput(
            f"Cannot import {path}: it is no JSON ({error}); export the project in Label Studio as "
            "JSON."
        ) from error
    if not _are_tasks(tasks):
        raise BadInput(
            f"Cannot import {path}: it holds no tasks with data and annotations; export the "
            "project in Label Studio as JSON (not JSON-MIN)."
        )
    return tasks


def _are_tasks(tasks: object) -> TypeGuard[list[Entry]]:
    return isinstance(tasks, list) and all(
        isinstance(task, dict)
        and isinstance(task.get("data"), dict)
        and isinstance(task.get("annotations"), list)
        and all(isinstance(entry, dict) for entry in task["annotations"])
        for task in tasks
    )


def plan(
    store: Store, project: Project, run: Run, path: Path, annotators: Iterable[str] = ()
) -> Plan:
    """Look at a file and at the run's project, and decide what to make; nothing is made yet.

    Args:
        annotators: see `People.said`.

    Raises:
        BadInput: nothing of the file can be imported, or its people are not known; says why.
        LabelStudioError
    """
    if run.project_id is None:
        raise BadInput(f"Cannot import into the run {run.id}: it has no project in Label Studio.")
    made = Plan()
    found = _tasks_of(run, path, made)
    here = {key_of(task): task for task in project.exported(run.project_id)}
    people = People.of(project.emails(), annotators, f"Cannot import {path}")
    labelled = [
        (shown, task, entry, people.who(entry, task, here.get(key_of(task))))
        for shown, task in found
        for entry in task["annotations"]
    ]
    if not labelled:
        raise BadInput(f"Cannot import {path}: nothing in it is labelled.")
    people.check()
    ids = {entry.get("unique_id"): entry for task in here.values() for entry in task["annotations"]}
    closed = {epoch.epoch for epoch in store.epochs(run.id) if epoch.labelled_at is not None}
    controls = project.controls_of(run.project_id, run.labelling.layout)
    for shown, task, entry, who in sorted(labelled, key=lambda item: _time(item[2])):
        mark = str(uuid.uuid5(MARK, f"{run.id} {key_of(task)} {_identity(entry)}"))
        there = ids.get(entry.get("unique_id")) or ids.get(mark)
        target = here.get(key_of(task))
        if there is not None:
            made.present += 1
            made.changed += there["result"] != entry.get("result")
        elif shown.epoch in closed:
            made.leave_out(f"of epoch {shown.epoch + 1}, which has been learned from already")
        elif target is None or Shown.by(target["data"]) != shown:
            made.leave_out(f"of epoch {shown.epoch + 1}, on images that have no such task here")
        elif problem := _problem(run, shown, target, entry, controls):
            made.leave_out(f"on {key_of(task)}: {problem}")
        elif any(
            other.get("completed_by") == people.ids[who] and _time(other) >= _time(entry)
            for other in target["annotations"]
        ):
            made.leave_out(f"by {who}, who has labelled the same in the project later")
        else:
            made.new.append(NewAnnotation(target["id"], people.ids[who], mark, _said(entry)))
    if not made.new and not made.present:
        raise BadInput(f"Nothing of {path} was imported: {'; '.join(made.reasons)}.")
    return made


def carry_out(
    project: Project, made: Plan, on_done: Callable[[int], None] = lambda done: None
) -> None:
    """Make the annotations of a plan, one after the other; may be repeated.

    Raises:
        LabelStudioError: says how many were made until then.
    """
    for done, new in enumerate(made.new):
        try:
            project.annotate(new.task_id, new.annotator_id, new.unique_id, new.said)
        except LabelStudioError as error:
            raise type(error)(
                f"{error} {done} of {len(made.new)} annotations were imported; import the file "
                "again for the others, none will be made twice."
            ) from error
        on_done(done + 1)


def count_by_person(made: Plan, emails: Mapping[int, str]) -> dict[str, int]:
    """How many annotations a plan makes, by e-mail address."""
    return dict(Counter(emails[new.annotator_id] for new in made.new))


def key_of(task: Mapping[str, Any]) -> str:
    """The key of a task of ours."""
    return str(task["data"].get("hero_image_id", ""))


def _tasks_of(run: Run, path: Path, made: Plan) -> list[tuple[Shown, Entry]]:
    """The run's tasks of a file, with what they show."""
    shown = [(Shown.by(task["data"]), task) for task in read_file(path)]
    ours = [(what, task) for what, task in shown if what is not None and what.run_id == run.id]
    if not ours:
        others = sorted({what.run_id for what, _ in shown if what is not None})
        theirs = f"its tasks are of {', '.join(others)}" if others else "its tasks are of no run"
        raise BadInput(
            f"Cannot import {path} into the run {run.id}: {theirs}; choose the file of a project "
            "that holds this run's tasks, with their hero_image_id."
        )
    if len(ours) < len(shown):
        made.leave_out("tasks of other runs or of none", len(shown) - len(ours))
    return ours


def _problem(run: Run, shown: Shown, target: Entry, entry: Entry, controls: set[str]) -> str | None:
    """Why an annotation cannot be used, if it cannot."""
    result = entry.get("result") or []
    names = {str(item.get("from_name")) for item in result if isinstance(item, Mapping)}
    if names and names.isdisjoint(controls):
        return (
            f"it was made on another labelling page, with a control called {min(names)!r} where "
            f"the project has {' and '.join(sorted(controls))}"
        )
    if run.labelling.layout == "gallery" and OTHERS_CONTROL in names - controls:
        return (
            "it says that all are good but those that are clicked, and the project's page would "
            "show the opposite; put label_config_gallery.xml into the project's settings first"
        )
    now = {"id": 0, "created_at": datetime.min, "updated_at": datetime.min}
    control = next(iter(controls)) if run.labelling.layout == "image" else None
    task = TaskLabels(target["id"], shown.epoch, shown.indexes, control=control)
    rows = read(run, task, {**entry, **now}, {})
    problems = [row.problem for row in rows if row.problem]
    return problems[0].rstrip(".") if problems else None


def _identity(entry: Entry) -> str:
    """What tells an annotation from others on its task, also from other servers."""
    if entry.get("unique_id"):
        return str(entry["unique_id"])
    return json.dumps([entry.get("completed_by"), entry.get("created_at"), entry.get("result")])


def _said(entry: Entry) -> Entry:
    return {
        "result": entry.get("result") or [],
        "was_cancelled": bool(entry.get("was_cancelled")),
        "lead_time": entry.get("lead_time"),
    }


def _time(entry: Entry) -> str:
    """When an annotation was last changed; Label Studio writes UTC, whose text sorts as time."""
    return str(entry.get("updated_at") or entry.get("created_at") or "")
