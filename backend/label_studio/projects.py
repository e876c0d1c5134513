"""The projects of runs: made, adopted, taken back."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from backend.errors import LabelStudioError, ProjectGone
from backend.label_studio import tabs
from backend.label_studio.adopting import MARK, adopted
from backend.label_studio.connection import ONCE, Connection
from backend.run.labelling import Labelling, Layout
from backend.tasks import label_config

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Project:
    """A run's project in Label Studio."""

    id: int
    url: str
    created: bool
    """Whether this call made it."""


class Projects(Connection):
    """A run's project, with a page on which verdicts can be given."""

    def ensure_project(
        self,
        run_id: str,
        title: str,
        prompt: str,
        labelling: Labelling | None = None,
        *,
        pixelated: bool = False,
    ) -> Project:
        """The run's project; made if there is none that carries the run's mark.

        Args:
            title: the project's name; the run's own and its prompt, if it is just the prompt.
            labelling: the run's plan; the defaults if None.
            pixelated: see `label_config.template`.
        """
        fields = _project_fields(run_id, prompt, labelling or Labelling(), pixelated)
        title = f"{run_id}: {prompt}" if title == prompt else title
        return self._marked(f"{MARK}{run_id}.", title, fields)

    def _marked(self, mark: str, title: str, fields: dict[str, Any]) -> Project:
        """The project whose description begins with that mark; made if there is none."""
        with self._asking("look for the project"):
            listed: Iterable[Any] = self._client.projects.list(include="id,description")
            for project in listed:
                if (project.description or "").startswith(mark):
                    self._make_tab(project.id)
                    return Project(project.id, self.project_url(project.id), created=False)
        with self._asking("create the project"):
            made = self._client.projects.create(title=_title(title), **fields, request_options=ONCE)
        assert made.id is not None
        self._make_tab(made.id)
        return Project(made.id, self.project_url(made.id), created=True)

    @contextmanager
    def adopted_project(
        self,
        project_id: int,
        run_id: str,
        title: str | None,
        prompt: str,
        labelling: Labelling,
        *,
        pixelated: bool = False,
    ) -> Iterator[Project]:
        """A project that was there and is empty, as the run's; if the block fails, it is as it was
        before.

        Args:
            title: its new name; None lets it keep its own.

        Raises:
            BadInput, ProjectTaken: the project is not there, not empty, or another run's.
        """
        fields = _project_fields(run_id, prompt, labelling, pixelated)
        if title:
            fields["title"] = _title(title)
        with adopted(self._client, self._errors, project_id, fields):
            self._make_tab(project_id)
            yield Project(project_id, self.project_url(project_id), created=False)

    def _make_tab(self, project_id: int) -> None:
        """The first tab of the Data Manager, before a page makes one that shows all columns.

        A run does not fail for want of it, and a tab that is there is somebody's.
        """
        try:
            with self._asking("make the first tab", project_id):
                if not list(self._client.views.list(project=project_id)):
                    self._client.views.create(
                        project=project_id, data=tabs.default_tab(), request_options=ONCE
                    )
        except LabelStudioError as error:
            logger.warning("the project %s has no tab of ours: %s", project_id, error)

    def describe(self, project_id: int, run_id: str, text: str) -> None:
        """Say in the project's description how its run stands."""
        with self._asking("describe the project", project_id):
            self._client.projects.update(project_id, description=f"{MARK}{run_id}. {text}")

    def has_project(self, project_id: int) -> bool:
        """Whether the project is there."""
        try:
            self._label_config(project_id)
        except ProjectGone:
            return False
        return True

    def delete_project(self, project_id: int) -> None:
        """Take back a project that has just been made."""
        with self._asking("delete the project"):
            self._client.projects.delete(project_id)

    def check_page(self, project_id: int, layout: Layout) -> None:
        """See that the project's page can take verdicts.

        Raises:
            LabelConfigUnusable, ProjectGone
        """
        label_config.controls(self._label_config(project_id), layout)

    def controls_of(self, project_id: int, layout: Layout) -> set[str]:
        """Names of the controls in which people give verdicts.

        Raises:
            LabelConfigUnusable
        """
        return label_config.controls(self._label_config(project_id), layout).names


def _project_fields(
    run_id: str, prompt: str, labelling: Labelling, pixelated: bool
) -> dict[str, Any]:
    """What makes a project a run's."""
    return {
        "description": f"{MARK}{run_id}. Prompt: {prompt}",
        "label_config": label_config.template(labelling.layout, pixelated=pixelated),
        "expert_instruction": (
            f"Good: {_good(labelling)} Bad: anything else. "
            "Best: the one image of an epoch that you like most"
            f"{', of each prompt' if labelling.criteria_by_prompt else ''}."
        ),
        "maximum_annotations": labelling.annotators_per_image,
        "show_collab_predictions": False,
        "evaluate_predictions_automatically": False,
        "show_skip_button": False,
        "enable_empty_annotation": False,
        "sampling": "Sequential sampling",
    }


def _good(labelling: Labelling) -> str:
    """What makes an image good, for the project's page."""
    if labelling.criteria_by_prompt:
        return "what stands below its prompt, or the image shows what the prompt says."
    return labelling.criteria or "the image shows what the prompt says."


def _title(text: str) -> str:
    """Label Studio takes titles of 3 to 50 characters."""
    text = " ".join(text.split())
    if len(text) < 3:
        text = f"HERO {text}"
    return text if len(text) <= 50 else f"{text[:49].rstrip()}…"
