"""Starting a run: everything is checked and made, or nothing is."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from backend.engine import image_size
from backend.errors import HeroServiceError
from backend.label_studio import Gateway, Project
from backend.label_studio.adopting import taken
from backend.labels.judged import Judged
from backend.run.chain import Parent
from backend.run.labelling import Labelling
from backend.run.records import ImportedBatch, Run, prompts_in_words
from backend.settings import Settings, ensure_secrets
from backend.starting.importing import laid_down
from backend.store import Store
from backend.tasks.images import PIXELATED_BELOW

logger = logging.getLogger(__name__)


def pixelated(config: Mapping[str, Any]) -> bool:
    """Whether a run's images are so small that the labelling page shows them pixel by pixel."""
    size = image_size(config)
    return size is not None and min(size) < PIXELATED_BELOW


def start_run(
    settings: Settings,
    store: Store,
    config: Mapping[str, Any],
    title: str | None = None,
    *,
    labelling: Labelling | None = None,
    project_id: int | None = None,
    forecast: Mapping[str, Any] | None = None,
    parent: Parent | None = None,
    judged: Judged | None = None,
) -> Run:
    """Make the run's project in Label Studio, connect it to this backend, and hand it to the worker.

    Args:
        config: the engine's configuration as JSON (`RunConfig.flat()`), already checked.
        title: of the project; the prompt, or all of them, by default.
        labelling: how people label it; the defaults if None.
        project_id: an empty project to take instead of a new one.
        forecast: what an epoch takes, if the model was tried.
        parent: the run from whose model it goes on.
        judged: pictures that people have judged, to learn from first.

    Raises:
        LabelStudioError, SettingsInvalid, ImageUnresolvable: nothing is left behind, and a project
            that was there before is as it was.
        BadInput, ProjectTaken: the project named cannot be taken.
    """  # noqa: E501
    labelling = labelling or Labelling()
    gateway = Gateway(ensure_secrets(settings))
    gateway.ping()
    run_id = store.new_run_id(config["prompt"])
    with _project(gateway, store, run_id, config, title, labelling, project_id) as project:
        gateway.connect_images(project.id, run_id, labelling.layout)
        gateway.connect_backend(project.id)
        with _imported(settings, run_id, config, judged) as imported:
            return store.create_run(
                config,
                labelling=labelling,
                title=title or prompts_in_words(config),
                run_id=run_id,
                project_id=project.id,
                project_url=project.url,
                forecast=forecast,
                parent=parent,
                imported=imported,
            )


def _imported(
    settings: Settings, run_id: str, config: Mapping[str, Any], judged: Judged | None
) -> AbstractContextManager[ImportedBatch | None]:
    return nullcontext() if judged is None else laid_down(settings, run_id, config, judged)


def reach(settings: Settings) -> None:
    """See that Label Studio answers, before anything that takes long.

    Raises:
        LabelStudioError, SettingsInvalid
    """
    Gateway(ensure_secrets(settings)).ping()


def untested_version(settings: Settings) -> str | None:
    """What to do about a Label Studio of another version; None for the one we know."""
    try:
        return Gateway(settings).ping().untested
    except HeroServiceError as error:
        logger.warning("which Label Studio it is is not known: %s", error)
        return None


def missing_people(settings: Settings, labelling: Labelling) -> str | None:
    """Whom a run's epochs would wait for in vain, and what to do; None if nobody is missing."""
    named = (*labelling.annotators, *labelling.adjudicators)
    if not named and labelling.annotators_per_image == 1:
        return None
    try:
        members = {email.lower() for email in Gateway(settings).emails().values()}
    except HeroServiceError as error:
        logger.warning("whether all annotators have accounts is not known: %s", error)
        return None
    if strangers := [email for email in named if email not in members]:
        return (
            f"{', '.join(strangers)} {'has' if len(strangers) == 1 else 'have'} no account in "
            f"Label Studio yet; `hero invite {' '.join(strangers)}` shows the link that lets them "
            "in."
        )
    if not labelling.annotators and labelling.annotators_per_image > len(members):
        count = len(members)
        return (
            f"each image waits for {labelling.annotators_per_image} people, and Label Studio has "
            f"{count} account{'' if count == 1 else 's'}; let the others in with `hero invite`."
        )
    return None


@contextmanager
def _project(
    gateway: Gateway,
    store: Store,
    run_id: str,
    config: Mapping[str, Any],
    title: str | None,
    labelling: Labelling,
    project_id: int | None,
) -> Iterator[Project]:
    """The run's project, new or adopted; undone if the block fails."""
    prompt = prompts_in_words(config)
    if project_id is not None:
        if other := store.run_of_project(project_id):
            raise taken(project_id, other.id)
        with gateway.adopted_project(
            project_id, run_id, title, prompt, labelling, pixelated=pixelated(config)
        ) as project:
            yield project
        return
    project = gateway.ensure_project(
        run_id, title or prompt, prompt, labelling, pixelated=pixelated(config)
    )
    try:
        yield project
    except BaseException:
        try:
            gateway.delete_project(project.id)
        except HeroServiceError as error:
            logger.warning("the empty project %s stays: %s", project.id, error)
        raise
