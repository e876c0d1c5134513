"""An annotation as Label Studio gives it -> rows, one an image. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from backend.consensus import BEST, VALUES
from backend.run.records import Annotation, Run, TaskLabels
from backend.tasks.best_question import read_answer
from backend.tasks.gallery import read_page
from backend.tasks.images import image_key


def read(
    run: Run, task: TaskLabels, annotation: Mapping[str, Any], emails: Mapping[int, str]
) -> list[Annotation]:
    """One annotation of Label Studio's as rows, one an image that it says something of.

    What says no value that we know becomes a problem; a skip is neither. Somebody's annotation that
    an adjudicator changed is the adjudicator's: Label Studio's Data Manager opens a task with the
    annotation that is there and a button "Update", so that is how a lead settles an image.
    """
    cancelled = bool(annotation.get("was_cancelled"))
    if task.question:
        return _answer(run, task, annotation, emails)
    values: Mapping[int, str] = {}
    problem = None
    if not cancelled:
        values, problem = _values(run, task, annotation.get("result"))
    annotator_id = person_of(annotation)
    editor = editor_of(annotation)
    if editor is not None and run.labelling.adjudicates(emails.get(editor)):
        annotator_id = editor
    return [
        Annotation(
            run_id=run.id,
            ls_id=int(annotation["id"]),
            epoch=task.epoch,
            index=index,
            task_id=task.task_id,
            annotator_id=annotator_id,
            annotator=emails.get(annotator_id) if annotator_id is not None else None,
            value=values.get(index),
            problem=problem,
            lead_time=annotation.get("lead_time"),
            created_at=moment(annotation["created_at"]),
            updated_at=moment(annotation["updated_at"]),
            was_cancelled=cancelled,
        )
        for index in task.indexes
    ]


def _answer(
    run: Run, task: TaskLabels, annotation: Mapping[str, Any], emails: Mapping[int, str]
) -> list[Annotation]:
    """An answer to the question which image is the best: a row of the image that it names."""
    index, problem = read_answer(run, task, annotation.get("result"))
    said = replace(task, question=False, indexes=task.indexes[:1] if index is None else (index,))
    skipped = {**annotation, "was_cancelled": True}
    was_cancelled = bool(annotation.get("was_cancelled"))
    return [
        replace(
            row,
            pick=True,
            value=BEST if index is not None and not was_cancelled else None,
            problem=None if was_cancelled else problem,
            was_cancelled=was_cancelled,
        )
        for row in read(run, said, skipped, emails)
    ]


def _values(run: Run, task: TaskLabels, result: Any) -> tuple[Mapping[int, str], str | None]:
    """The value of each of the task's images, or what is wrong with the annotation."""
    if run.labelling.layout == "gallery":
        return read_page(result, {image_key(run.id, task.epoch, i): i for i in task.indexes})
    value, problem = _value(result, task.control)
    return ({} if value is None else dict.fromkeys(task.indexes, value)), problem


def person_of(annotation: Mapping[str, Any]) -> int | None:
    """The user id of whoever made it; Label Studio gives a number, a person, or nothing."""
    person = annotation.get("completed_by")
    return person.get("id") if isinstance(person, Mapping) else person


def editor_of(annotation: Mapping[str, Any]) -> int | None:
    """The user id of whoever changed it last, if Label Studio says so."""
    editor = annotation.get("updated_by")
    return editor if isinstance(editor, int) else None


def choices_of(result: Any, control: str | None = None) -> list[Any]:
    """What was chosen in a control; in any for None."""
    choices: list[Any] = []
    for item in result if isinstance(result, list) else []:
        if not isinstance(item, Mapping) or control not in (None, item.get("from_name")):
            continue
        if item.get("type") == "choices":
            value = item.get("value")
            found = value.get("choices") if isinstance(value, Mapping) else None
            choices += found if isinstance(found, list) else []
    return choices


def _value(result: Any, control: str | None) -> tuple[str | None, str | None]:
    """The one value of the verdict's control; what other controls of a page say is not ours."""
    choices = choices_of(result, control)
    known = [choice for choice in choices if choice in VALUES]
    if len(known) == 1:
        return known[0], None
    said = ", ".join(repr(choice) for choice in choices) or "nothing"
    return None, (
        f"the annotation says {said}, where exactly one of good, bad or best is needed; correct "
        "it in Label Studio."
    )


def moment(value: str | datetime) -> datetime:
    """A time as Label Studio's API or its SDK gives it."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)
