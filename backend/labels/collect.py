"""Annotations -> rows. Webhook hints and the poll both end in `reconcile`.

A webhook is only a hint that something happened: what did is always fetched. So lost, doubled or
reordered webhooks change nothing but the time until a label is seen.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from backend.errors import HeroServiceError
from backend.labels.parsing import editor_of, person_of, read
from backend.run.records import Annotation, Image, Run, TaskLabels
from backend.store import Store

logger = logging.getLogger(__name__)


Key = tuple[int, int]
"""Of a row within an epoch: Label Studio's id of the annotation, and the image's index."""


class LabelSource(Protocol):
    """What is asked of the gateway."""

    def labels(self, project_id: int, run_id: str, epoch: int) -> list[TaskLabels]:
        """An epoch's tasks with all their annotations."""
        ...

    def remove_tasks(self, task_ids: Collection[int]) -> None:
        """Delete tasks; those that are gone already are no trouble."""
        ...

    def emails(self, wanted: Collection[int]) -> dict[int, str]:
        """E-mail address of each user, by id; these are looked for if they are not known."""
        ...


@dataclass(frozen=True)
class Collected:
    """What a look at Label Studio brought."""

    changed: list[Annotation] = field(default_factory=list)
    taskless: dict[int, int] = field(default_factory=dict)
    """Number of images that people are asked about and that have no task any more, by epoch."""
    questions: dict[int, list[TaskLabels]] = field(default_factory=dict)
    """The tasks that ask which image is the best, by epoch."""

    def lacking(self, run: Run) -> str | None:
        """What a person has to know about the run's present epoch, if it cannot be completed."""
        gone = self.taskless.get(run.epoch, 0)
        if not gone:
            return None
        return (
            f"{gone} image{'s' if gone > 1 else ''} of epoch {run.epoch + 1} cannot be labelled, "
            f"since the task was deleted in Label Studio; `hero pause {run.id}` and `hero resume "
            f"{run.id}` make a new one, or label the others and `hero advance {run.id}`."
        )


def reconcile(
    store: Store, source: LabelSource, run: Run, epochs: Collection[int] | None = None
) -> Collected:
    """Make the rows of some epochs equal to what stands in Label Studio now.

    Args:
        epochs: the run's present epoch by default.

    Raises:
        LabelStudioError: nothing was fetched of the epoch that failed, nothing was changed.
    """
    collected = Collected()
    if run.project_id is None or run.project_gone:
        return collected
    for epoch in sorted(epochs if epochs is not None else {run.epoch}):
        while (changed := _look(store, source, run, epoch, collected)) is None:
            logger.info("run %s, epoch %d was closed during a look: once more", run.id, epoch)
        for row in changed:
            if row.problem and not row.deleted:
                logger.warning("run %s, image %s: %s", run.id, row.index, row.problem)
        collected.changed.extend(changed)
    return collected


def _look(
    store: Store, source: LabelSource, run: Run, epoch: int, collected: Collected
) -> list[Annotation] | None:
    """The rows that one look changed; None if the epoch was closed while it lasted."""
    assert run.project_id is not None
    open_before = not store.is_frozen(run.id, epoch)
    before = store.annotations(run.id, epoch)
    images = store.images(run.id, epoch)
    found = source.labels(run.project_id, run.id, epoch)
    questions = [task for task in found if task.question]
    collected.questions[epoch] = questions
    fetched = _published((task for task in found if not task.question), images)
    if unneeded := [*doubles(fetched, images), *doubled_questions(questions)]:
        logger.warning("run %s, epoch %d: doubled tasks %s go", run.id, epoch, unneeded)
        source.remove_tasks(unneeded)
    emails = _emails(source, run, found)
    rows = [
        row
        for task in [*fetched, *questions]
        for annotation in task.annotations
        for row in read(run, task, annotation, emails)
    ]
    there = {index for task in fetched for index in task.indexes}
    collected.taskless[epoch] = sum(image.asked and image.index not in there for image in images)
    overtaken = False

    def merged(known: list[Annotation], frozen: bool) -> list[Annotation]:
        nonlocal overtaken
        overtaken = frozen and open_before
        return [] if overtaken else merge(known, rows, frozen=frozen, before=before)

    changed = store.merge_annotations(run.id, epoch, merged)
    return None if overtaken else changed


def _published(tasks: Iterable[TaskLabels], images: Sequence[Image]) -> list[TaskLabels]:
    """The tasks, each with the image that it was made for, whatever its data says by now.

    A task that we did not make (a copy of one of ours) is about what its data says.
    """
    made_for: dict[int | None, list[int]] = {}
    for image in images:
        made_for.setdefault(image.task_id, []).append(image.index)
    return [
        replace(task, indexes=(indexes[0],)) if len(indexes) == 1 else task
        for task in tasks
        for indexes in [made_for.get(task.task_id, [])]
    ]


def doubles(tasks: Sequence[TaskLabels], images: Sequence[Image]) -> list[int]:
    """The tasks that nobody has labelled and whose images all have another one.

    An import that Label Studio finished after the asking worker had died leaves such. Labelled ones
    stay: of a person's several votes on an image one counts.
    """
    recorded = {image.task_id for image in images}
    covered = {index for task in tasks if _stays(task, recorded) for index in task.indexes}
    return [
        task.task_id
        for task in tasks
        if not _stays(task, recorded) and covered.issuperset(task.indexes)
    ]


def doubled_questions(questions: Sequence[TaskLabels]) -> list[int]:
    """Of several questions that nobody has answered, all but the first: two workers asked at the
    same moment, or one died before it had written that it asked."""
    open_ones = sorted(task.task_id for task in questions if not task.annotations)
    return open_ones[1:]


def _stays(task: TaskLabels, recorded: set[int | None]) -> bool:
    return bool(task.annotations) or task.task_id in recorded


def merge(
    known: Iterable[Annotation],
    fetched: Iterable[Annotation],
    *,
    frozen: bool,
    before: Iterable[Annotation] | None = None,
) -> list[Annotation]:
    """The rows to write so that an epoch's rows say what was fetched. Pure.

    Looks may overlap, and their answers come in any order: of two versions of an annotation the
    newer counts, and only what was known before the look began can be missing from its answer.
    What was known before is older than the answer, whatever Label Studio's clock says by now.

    Args:
        known: all rows of the epoch.
        fetched: all annotations of the epoch, each once.
        frozen: the epoch is closed: what counted stays as it was used, and what comes or changes
            now is marked late.
        before: the rows there were when the look began; `known` by default.
    """
    rows = {_key(row): row for row in known}
    known_before = {_key(row): row for row in (rows.values() if before is None else before)}
    changed = []
    present = set()
    for new in fetched:
        key = _key(new)
        present.add(key)
        old = rows.get(key)
        if old is None:
            changed.append(replace(new, late=frozen))
        elif new.updated_at > old.updated_at or _overtaken(old, new, known_before.get(key)):
            changed.append(_updated(old, new, late=frozen))
        elif old.annotator is None and new.annotator is not None:
            changed.append(replace(old, annotator=new.annotator))
    for key, old in rows.items():
        if key not in present and key in known_before and not old.deleted:
            changed.append(replace(old, deleted=True, late=old.late or frozen))
    return changed


def _overtaken(old: Annotation, new: Annotation, before: Annotation | None) -> bool:
    """Whether a row that nothing has changed since the look began says something else by now: it
    was put back, or edited after Label Studio's clock had been set back."""
    if before is None or before.updated_at != old.updated_at:
        return False
    return (old.deleted and before.deleted) or new.updated_at != old.updated_at


def _key(row: Annotation) -> Key:
    return row.ls_id, row.index


def _updated(old: Annotation, new: Annotation, *, late: bool) -> Annotation:
    same_person = old.annotator_id == new.annotator_id
    if old.frozen:
        return replace(
            old,
            annotator=old.annotator or (new.annotator if same_person else None),
            updated_at=new.updated_at,
            deleted=False,
            late=True,
            late_value=new.value,
        )
    address = new.annotator or (old.annotator if same_person else None)
    return replace(new, annotator=address, late=old.late or late)


def _emails(source: LabelSource, run: Run, tasks: Iterable[TaskLabels]) -> Mapping[int, str]:
    """The addresses of those who labelled.

    Raises:
        LabelStudioError: they were not to be had, and whose votes count depends on them.
    """
    people = {
        person
        for task in tasks
        for annotation in task.annotations
        for person in (person_of(annotation), editor_of(annotation))
    } - {None}
    if not people:
        return {}
    try:
        return source.emails([person for person in people if person is not None])
    except HeroServiceError as error:
        if run.labelling.annotators or run.labelling.adjudicators:
            raise
        logger.warning("annotators are shown without their addresses: %s", error)
        return {}
