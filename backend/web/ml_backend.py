"""HERO as a model of Label Studio's ML-backend protocol.

`HeroModel` has the shape of label-studio-ml 2.x's `LabelStudioMLBase`: `setup`, `predict(tasks,
context)`, `fit(event, data)`. It answers from the store and never touches the engine, so that
every answer is instant: learning happens in the worker.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from backend.errors import BadWebhook, RunNotFound
from backend.run.records import Run
from backend.run.webhook_contract import LABEL_ACTIONS, START_TRAINING
from backend.store import Store
from backend.tasks import label_config
from backend.tasks.predictions import Predictions, model_version
from backend.tasks.publishing import Shown


class HeroModel:
    """The model of one project."""

    def __init__(self, store: Store, project_id: int | None, label_config: str = "") -> None:
        self._store = store
        self.project_id = project_id
        self.label_config = label_config
        self.model_version = ""
        self.setup()

    def setup(self) -> None:
        """Find the version of the project's model: the run and the epochs it has learned from."""
        run = self.run
        self.model_version = model_version(run) if run else "no-run"

    @property
    def run(self) -> Run | None:
        """The run whose images stand in the project."""
        return None if self.project_id is None else self._store.run_of_project(self.project_id)

    def predict(
        self,
        tasks: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> list[dict[str, Any]]:
        """One prediction a task, with Eq. 4's similarity to the best image as its score.

        Tasks that are not of this run, or that were made before anything was learned, get an empty
        result.
        """
        run = self.run
        if run is None:
            return [self._nothing() for _ in tasks]
        layout = run.labelling.layout
        controls = label_config.controls(self.label_config, layout) if self.label_config else None
        epochs = self._store.epochs(run.id)
        known: dict[int, Predictions] = {}
        answers = []
        for task in tasks:
            data = task.get("data")
            shown = Shown.by(data) if isinstance(data, Mapping) else None
            prediction = None
            if shown is not None and shown.run_id == run.id:
                if shown.epoch not in known:
                    images = self._store.images(run.id, shown.epoch)
                    known[shown.epoch] = Predictions.of(run, epochs, shown.epoch, images)
                prediction = known[shown.epoch].of_task(shown.indexes)
            answers.append(
                label_config.as_json(prediction, controls) if prediction else self._nothing()
            )
        return answers

    def _nothing(self) -> dict[str, Any]:
        return {"result": [], "score": 0.0, "model_version": self.model_version}

    def fit(self, event: str, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Note an event of Label Studio's; the worker looks what happened.

        Raises:
            BadWebhook: the payload names no project.
            RunNotFound: the project is no run's, and no comparison's.
        """
        project = data.get("project")
        project_id = project.get("id") if isinstance(project, Mapping) else project
        if not _is_id(project_id):
            raise BadWebhook(
                f"Cannot follow the webhook {event}: it names no project; turn on "
                "'Send payload' for it in Label Studio."
            )
        hint = None
        if followed := event == START_TRAINING or event in LABEL_ACTIONS:
            task = data.get("task")
            task_id = task.get("id") if isinstance(task, Mapping) else None
            listed = data.get("annotations")
            single = data.get("annotation")
            annotations = listed if isinstance(listed, list) else [single]
            ids = [item.get("id") for item in annotations if isinstance(item, Mapping)]
            hint = self._store.hint(
                project_id,
                event,
                task_id=task_id if _is_id(task_id) else None,
                annotation_ids=[number for number in ids if _is_id(number)],
            )
        if hint is not None:
            return {"status": "noted", "run": hint.run_id}
        if compared := self._store.comparison_of_project(project_id):
            self._store.look_at_comparison(compared)
            return {"status": "noted", "comparison": compared.id}
        run = None if followed else self._store.run_of_project(project_id)
        if run is None:
            raise RunNotFound(
                f"Cannot follow the webhook {event}: no run belongs to project {project_id}; "
                "remove the webhook from that project, or start a run with `hero start`."
            )
        return {"status": "ignored", "run": run.id}


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def versions_of(run: Run) -> list[str]:
    """All versions of a run's model so far, the newest first."""
    return [model_version(run, epoch) for epoch in range(run.epoch, -1, -1)]
