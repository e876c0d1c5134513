"""HERO as a model of Label Studio's ML-backend protocol.

`HeroModel` has the shape of label-studio-ml 2.x's `LabelStudioMLBase`: `setup`, `predict(tasks,
context)`, `fit(event, data)`. It answers from the store and never touches the engine, so that
every answer is instant: learning happens in the worker.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.errors import BadWebhook, RunNotFound
from backend.images import parse_key
from backend.label_config import verdict_control
from backend.records import Epoch, Image, Run
from backend.store import Store
from backend.webhooks import LABEL_ACTIONS, START_TRAINING


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
        control = verdict_control(self.label_config) if self.label_config else None
        epochs = self._store.epochs(run.id) if run else []
        images: dict[int, list[Image]] = {}
        predictions = []
        for task in tasks:
            place = parse_key(str((task.get("data") or {}).get("hero_image_id", "")))
            if run is None or place is None or place[0] != run.id:
                predictions.append(self._nothing())
                continue
            _, epoch, index = place
            rows = images.setdefault(epoch, self._store.images(run.id, epoch))
            if index >= len(rows) or rows[index].prediction is None:
                predictions.append(self._nothing())
                continue
            score = rows[index].prediction
            verdict = choice(score, good_from(epochs, epoch))
            result = [control.result(verdict)] if control else []
            predictions.append({**self._nothing(), "result": result, "score": score})
        return predictions

    def _nothing(self) -> dict[str, Any]:
        return {"result": [], "score": 0.0, "model_version": self.model_version}

    def fit(self, event: str, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Note an event of Label Studio's; the worker looks what happened.

        Raises:
            BadWebhook: the payload names no project.
            RunNotFound: the project is no run's.
        """
        project = data.get("project")
        project_id = project.get("id") if isinstance(project, Mapping) else project
        if not isinstance(project_id, int):
            raise BadWebhook(
                f"Cannot follow the webhook {event}: it names no project; turn on "
                "'Send payload' for it in Label Studio."
            )
        run = self._store.run_of_project(project_id)
        if run is None:
            raise RunNotFound(
                f"Cannot follow the webhook {event}: no run belongs to project {project_id}; "
                "remove the webhook from that project, or start a run with `hero start`."
            )
        if event != START_TRAINING and event not in LABEL_ACTIONS:
            return {"status": "ignored", "run": run.id}
        task = data.get("task")
        task_id = task.get("id") if isinstance(task, Mapping) else None
        listed = data.get("annotations")
        single = data.get("annotation")
        annotations = listed if isinstance(listed, list) else [single]
        ids = [item.get("id") for item in annotations if isinstance(item, Mapping)]
        self._store.hint(
            project_id,
            event,
            task_id=task_id if isinstance(task_id, int) else None,
            annotation_ids=[number for number in ids if isinstance(number, int)],
        )
        return {"status": "noted", "run": run.id}


def model_version(run: Run, epoch: int | None = None) -> str:
    """The version's name: the run, and how many epochs it has learned from."""
    return f"{run.id}-epoch-{run.epoch if epoch is None else epoch}"


def versions_of(run: Run) -> list[str]:
    """All versions of a run's model so far, the newest first."""
    return [model_version(run, epoch) for epoch in range(run.epoch, -1, -1)]


def choice(score: float, threshold: float) -> str:
    """The verdict that a similarity to the best image (in [-1, 1]) speaks for."""
    return "good" if score >= threshold else "bad"


def good_from(epochs: Sequence[Epoch], epoch: int) -> float:
    """The similarity from which an image of `epoch` is taken for good.

    Midway between the good and the bad of the last epoch before it that was learned from.
    """
    for row in reversed(epochs[:epoch]):
        report = row.report or {}
        good, bad = report.get("reward_good"), report.get("reward_bad")
        if good is not None and bad is not None:
            return (good + bad) / 2
    return 0.5
