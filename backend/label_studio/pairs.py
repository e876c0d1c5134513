"""The project of a blind comparison: its pairs published, what people said of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.errors import LabelStudioUnreachable
from backend.label_studio.connection import ONCE
from backend.label_studio.projects import Project
from backend.label_studio.wiring import Wiring
from backend.run.comparison import Comparison, LabelledPair
from backend.tasks import label_config
from backend.tasks.pairs import NO_DIFFERENCE, pair_key, pair_of

MARK = "HERO comparison "
"""A project of a comparison has a description that begins so."""


class Pairs(Wiring):
    """Projects in which people say which of two images is better."""

    def ensure_pairs_project(self, comparison: Comparison, *, pixelated: bool = False) -> Project:
        """The comparison's project; made if there is none that carries its mark."""
        good = comparison.criteria[0] or "the image shows what the prompt says."
        if len(comparison.prompts) > 1:
            good = "what stands under the prompt; where nothing does, that the image shows it."
        fields = {
            "description": f"{MARK}{comparison.id}. Prompt: {comparison.in_words}",
            "label_config": label_config.pairs_template(pixelated=pixelated),
            "expert_instruction": (
                f"Which of two images is better? What counts: {good} Where you see none, say "
                f"{NO_DIFFERENCE}."
            ),
            "maximum_annotations": comparison.annotators_per_pair,
            "show_collab_predictions": False,
            "evaluate_predictions_automatically": False,
            "show_skip_button": False,
            "enable_empty_annotation": False,
            "sampling": "Sequential sampling",
        }
        return self._marked(f"{MARK}{comparison.id}.", f"A/B {comparison.id}", fields)

    def publish_pairs(
        self, project_id: int, comparison: Comparison, tasks: Sequence[Mapping[str, Any]]
    ) -> None:
        """Import the pairs' tasks in one request; those that are there already are left alone.

        Raises:
            LabelStudioUnreachable: not all of them are there yet.
        """
        there = {pair for pair, _ in self.pair_labels(project_id, comparison)}
        keys = {pair_key(comparison.id, pair) for pair in there}
        missing: list[Any] = [
            {"data": dict(data)} for data in tasks if data["hero_image_id"] not in keys
        ]
        if missing:
            with self._asking("import the pairs", project_id):
                self._client.projects.import_tasks(
                    project_id, request=missing, return_task_ids=True, request_options=ONCE
                )
        found = {pair for pair, _ in self.pair_labels(project_id, comparison)}
        if len(found) < len(tasks):
            raise LabelStudioUnreachable(
                f"Cannot import the pairs: Label Studio at {self.url} holds {len(found)} of "
                f"{len(tasks)} so far; the same command goes on from here."
            )

    def pair_labels(self, project_id: int, comparison: Comparison) -> list[LabelledPair]:
        """Each pair's task with all its annotations, in one request.

        Raises:
            ProjectGone
        """
        with self._asking("fetch the votes", project_id):
            tasks: list[Any] = list(
                self._client.tasks.list(project=project_id, page_size=1000, resolve_uri=False)
            )
        if not tasks:
            with self._asking("fetch the votes", project_id):
                self._client.projects.get(project_id)
        places = [(pair_of(task.data), task.annotations or ()) for task in tasks]
        return [
            (place[1], annotations)
            for place, annotations in places
            if place is not None and place[0] == comparison.id
        ]
