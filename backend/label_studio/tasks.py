"""The tasks of an epoch, and what people said of them."""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from backend.errors import (
    LabelConfigUnusable,
    LabelStudioRefused,
    LabelStudioUnreachable,
    ProjectGone,
)
from backend.label_studio import filters, leftovers
from backend.label_studio.connection import ONCE, Connection
from backend.run.records import TaskLabels
from backend.tasks import label_config
from backend.tasks.best_question import question_of
from backend.tasks.publishing import NewTask, Shown

_NO_TASK = ProjectGone("The task is gone.")


class Tasks(Connection):
    """Tasks published, looked at, put away; annotations read and made."""

    def publish(
        self, project_id: int, run_id: str, epoch: int, tasks: Sequence[NewTask]
    ) -> dict[int, int]:
        """Import an epoch's tasks in one request; those that are there already are left alone.

        May be repeated and may be killed anywhere: an image never has two tasks. People get the
        tasks in their order here.

        Returns:
            Task id by image index; of a gallery the page's, for each of its images.

        Raises:
            LabelConfigUnusable: the project's page cannot take the predictions.
        """
        pages = [(task, Shown.by(task.data)) for task in tasks]
        wanted = {index for _, page in pages if page for index in page.indexes}
        there = {
            index
            for labels in self.labels(project_id, run_id, epoch)
            if not labels.question
            for index in labels.indexes
        }
        missing = [task for task, page in pages if page and there.isdisjoint(page.indexes)]
        if missing:
            config = self._label_config(project_id)
            # Not the SDK's own model: it wants each prediction's task, which is not there yet.
            bodies: list[Any] = [_task(task, config) for task in missing]
            with self._asking("import the tasks", project_id):
                self._client.projects.import_tasks(
                    project_id,
                    request=bodies,
                    return_task_ids=True,
                    request_options=ONCE,
                )
        task_ids = self._without_duplicates(self.labels(project_id, run_id, epoch))
        if not wanted <= task_ids.keys():
            raise LabelStudioUnreachable(
                f"Cannot import the tasks of epoch {epoch + 1}: Label Studio at {self.url} holds "
                f"{len(wanted & task_ids.keys())} of {len(wanted)} images so far; they are looked "
                "for again."
            )
        return task_ids

    def _without_duplicates(self, tasks: Sequence[TaskLabels]) -> dict[int, int]:
        """Task id by index; of an index with several tasks the others are deleted.

        Only an import that Label Studio finished after the asking worker had died leaves such.
        """
        kept: dict[int, TaskLabels] = {}
        judged = [task for task in tasks if not task.question]
        for task in sorted(judged, key=lambda task: (not task.annotations, task.task_id)):
            if kept.keys().isdisjoint(task.indexes):
                kept |= dict.fromkeys(task.indexes, task)
            elif not task.annotations:
                self.remove_tasks([task.task_id])
        return {index: task.task_id for index, task in sorted(kept.items())}

    def remove_tasks(self, task_ids: Collection[int]) -> None:
        """Delete tasks; those that are gone already are no trouble."""
        for task_id in task_ids:
            with suppress(ProjectGone), self._errors.translated("delete a doubled task", _NO_TASK):
                self._client.tasks.delete(str(task_id))

    def labels(self, project_id: int, run_id: str, epoch: int) -> list[TaskLabels]:
        """An epoch's tasks with all their annotations, in one request."""
        query = filters.query(filters.by_key("contains", f"{run_id}/{epoch}/"))
        with self._asking("fetch the annotations", project_id):
            found: list[Any] = list(
                self._client.tasks.list(
                    project=project_id, query=query, page_size=1000, resolve_uri=False
                )
            )
        if not found:
            with self._asking("fetch the annotations", project_id):
                self._client.projects.get(project_id)
        ours = [
            (task, shown.indexes)
            for task in found
            if (shown := Shown.by(task.data)) and (shown.run_id, shown.epoch) == (run_id, epoch)
        ]
        judged = any(task.annotations and len(indexes) == 1 for task, indexes in ours)
        control = self._verdicts_control(project_id) if judged else None
        questions = [
            TaskLabels(task.id, epoch, asked[2], task.annotations or (), question=True)
            for task in found
            if (asked := question_of(task.data)) and asked[:2] == (run_id, epoch)
        ]
        return [
            TaskLabels(task.id, epoch, indexes, task.annotations or (), control)
            for task, indexes in ours
        ] + questions

    def ask(self, project_id: int, question: NewTask) -> int | None:
        """Publish a question, for one person to answer.

        Returns:
            The task's id; None if the project's page cannot show it.
        """
        if not label_config.asks_for_best(self._label_config(project_id), question.layout):
            return None
        with self._asking("ask for the best image", project_id):
            made = self._client.tasks.create(
                project=project_id, data=dict(question.data), request_options=ONCE
            )
            assert made.id is not None
            self._client.tasks.update(str(made.id), overlap=1)
        return made.id

    def _verdicts_control(self, project_id: int) -> str | None:
        """The name of the image page's control for verdicts; None where the page has none, or asks
        for them otherwise."""
        try:
            return label_config.verdict_control(self._label_config(project_id)).from_name
        except LabelConfigUnusable:
            return None

    def put_away(self, project_id: int, run_id: str, epoch: int) -> None:
        """Take what is unfinished of a run's epochs before this one out of people's queue.

        See `backend.label_studio.leftovers`; may be repeated.
        """
        with self._asking("put the tasks of closed epochs away", project_id):
            leftovers.put_away(self._client, project_id, run_id, epoch)

    def exported(self, project_id: int) -> list[dict[str, Any]]:
        """Label Studio's own JSON export: all tasks, with annotations that tell their unique id."""
        with self._asking("export the project", project_id):
            parts = self._client.projects.exports.download_sync(
                project_id, export_type="JSON", download_all_tasks=True
            )
            tasks: list[dict[str, Any]] = json.loads(b"".join(parts))
        return tasks

    def annotate(
        self, task_id: int, annotator_id: int, unique_id: str, said: Mapping[str, Any]
    ) -> bool:
        """Make an annotation in somebody's name; False if one with that unique id is there."""
        try:
            with self._asking("import an annotation"):
                self._client.annotations.create(
                    task_id,
                    completed_by=annotator_id,
                    unique_id=unique_id,
                    **said,
                    request_options=ONCE,
                )
        except LabelStudioRefused as error:
            if "unique id already exists" in str(error):
                return False
            raise
        return True


def _task(task: NewTask, config: str) -> dict[str, Any]:
    body: dict[str, Any] = {"data": dict(task.data)}
    if task.prediction is not None:
        controls = label_config.controls(config, task.layout)
        body["predictions"] = [label_config.as_json(task.prediction, controls)]
    return body
