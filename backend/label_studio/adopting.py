"""An empty project that a team made in Label Studio, made a run's: wholly, or not at all."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from backend.errors import BadInput, ProjectTaken
from backend.label_studio.errors import MISUNDERSTOOD, Errors

logger = logging.getLogger(__name__)

MARK = "HERO run "
"""A project of a run has a description that begins so."""


@contextmanager
def adopted(
    client: LabelStudio, errors: Errors, project_id: int, fields: Mapping[str, Any]
) -> Iterator[None]:
    """The project with these fields; as it was before if the block fails.

    Raises:
        BadInput, ProjectTaken: nothing was changed.
    """
    nothing = BadInput(
        f"Cannot use project {project_id}: there is none with that number in Label Studio; it is "
        "the number in its address, /projects/NUMBER."
    )
    with errors.translated("look at the project", nothing):
        before = client.projects.get(project_id)
        connected = _connections(client, project_id)
    _check_free(project_id, before)
    try:
        with errors.translated("set the project up", nothing):
            client.projects.update(project_id, **fields)
        yield
    except BaseException:
        try:
            for kind, ids in _connections(client, project_id).items():
                for each in ids - connected[kind]:
                    _connection_kinds(client)[kind].delete(each)
            client.projects.update(project_id, **{name: getattr(before, name) for name in fields})
        except (ApiError, httpx.HTTPError, *MISUNDERSTOOD) as error:
            logger.warning("the project %s was not put back as it was: %s", project_id, error)
        raise


def taken(project_id: int, run_id: str) -> ProjectTaken:
    """The error where a project is another run's."""
    return ProjectTaken(
        f"Cannot use project {project_id}: the run {run_id} has it, and two runs in one project "
        "are refused; name an empty project, or leave --project out to get a new one."
    )


def _check_free(project_id: int, project: Any) -> None:
    description = project.description or ""
    if description.startswith(MARK):
        raise taken(project_id, description.removeprefix(MARK).split(". ")[0].rstrip("."))
    if project.task_number:
        raise BadInput(
            f"Cannot use project {project_id}: it holds {project.task_number} tasks that are not "
            "ours; name an empty project, or leave --project out to get a new one."
        )


def _connection_kinds(client: LabelStudio) -> dict[str, Any]:
    return {
        "storage": client.import_storage.local,
        "webhook": client.webhooks,
        "ML backend": client.ml,
        "tab": client.views,
    }


def _connections(client: LabelStudio, project_id: int) -> dict[str, set[int]]:
    return {
        kind: {each.id for each in part.list(project=project_id)}
        for kind, part in _connection_kinds(client).items()
    }
