"""Where each run stands, in the description of its project in Label Studio."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from backend.errors import HeroServiceError
from backend.run.records import Run
from backend.run.states import ENDED
from backend.settings import Settings
from backend.show.run_view import SENTENCE
from backend.store import Store

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 2.0
"""Between two looks at the runs."""
PAUSE_AFTER_TROUBLE_SECONDS = 60.0
REMEMBERED = timedelta(days=1)
"""A run that ended before that has been described."""


class Descriptions(Protocol):
    """What is asked of the gateway."""

    def describe(self, project_id: int, run_id: str, text: str) -> None:
        """Say in a project's description how its run stands."""
        ...


def description(settings: Settings, run: Run) -> str:
    """Where a run stands, where it is labelled, and what its images should show."""
    said = f"Epoch {run.shown_epoch} of {run.epochs}: {SENTENCE[run.state].replace('`', '')}."
    if run.state not in ENDED:
        said += f" Label at {settings.label_url(run.id)}, which goes on from batch to batch."
    return f"{said} Prompt: {run.in_words}"


class Standing:
    """Keeps the descriptions of all projects as their runs stand."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._said: dict[str, str] = {}
        self._not_before = 0.0

    def tell(self, gateway: Callable[[], Descriptions]) -> None:
        """Bring the descriptions up to date; a run does not fail for want of one."""
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + PAUSE_SECONDS
        for run in self._store.runs():
            text = description(self._settings, run)
            if run.project_id is None or run.project_gone or self._said.get(run.id) == text:
                continue
            if run.id in self._said or not self._is_old(run):
                try:
                    gateway().describe(run.project_id, run.id, text)
                except HeroServiceError as error:
                    logger.warning("the project of run %s does not say so: %s", run.id, error)
                    self._not_before = time.monotonic() + PAUSE_AFTER_TROUBLE_SECONDS
                    return
            self._said[run.id] = text

    def _is_old(self, run: Run) -> bool:
        return run.state in ENDED and self._store.now() - run.updated_at > REMEMBERED
