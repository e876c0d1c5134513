"""Fetches labels: which runs are due, what their labels amount to, and what keeps people from them.

Nothing here needs the engine; the worker does it in a thread of its own.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from backend.engine_files import batch_folder
from backend.errors import (
    HeroServiceError,
    LabelConfigUnusable,
    NotEnoughFeedback,
    ProjectGone,
    RunChanged,
    WrongState,
)
from backend.label_studio import Gateway
from backend.labels import closing, collect
from backend.labels.disagreements_tab import Disagreements
from backend.labels.progress import decide_epoch
from backend.outcomes import Way, outcome_of
from backend.run.records import Hint, Run
from backend.run.states import Event, State
from backend.run.webhook_contract import START_TRAINING
from backend.settings import Settings
from backend.store import Store
from backend.tasks.best_question import question_task
from backend.tasks.images import missing_images, place_images

logger = logging.getLogger(__name__)

SHORTEST_PAUSE_SECONDS = 0.5
FETCH_SHARE = 3
"""After a look at a run its webhooks have to wait for so many times as long as the look took, so
that Label Studio has time for the people who label."""


class Poller:
    """Looks at the labels of all runs of a home folder (or of a shared database)."""

    def __init__(self, settings: Settings, store: Store, gateway: Callable[[], Gateway]) -> None:
        self._settings = settings
        self._store = store
        self._gateway = gateway
        self._disagreements = Disagreements(store)
        self._fetch_seconds = 0.0
        self._fitness: dict[str, tuple[float, str | None]] = {}

    def poll_once(self) -> bool:
        """Fetch the labels of every run that is due, and close epochs that are labelled.

        Returns:
            False if Label Studio could not be asked; the hints are kept.
        """
        reached = True
        hint_seconds = min(max(FETCH_SHARE * self._fetch_seconds, SHORTEST_PAUSE_SECONDS), 10.0)
        for run, hints in self._store.take_due(self._settings.poll_seconds, hint_seconds):
            began = time.monotonic()
            try:
                self._follow(run, hints)
            except RunChanged as error:
                logger.info("run %s: %s", run.id, error)
            except HeroServiceError as error:
                logger.warning("run %s: %s", run.id, error)
                self._note(run, str(error))
                reached = False
            except Exception as error:
                # One run's trouble keeps no other run from its labels.
                logger.exception("run %s: its labels could not be looked at", run.id)
                self._note(run, _trouble(error))
                reached = False
            else:
                self._store.clear_hints(hints)
                self._fetch_seconds = time.monotonic() - began
        return reached

    def _follow(self, run: Run, hints: list[Hint]) -> None:
        try:
            self._collect(run, hints)
        except (RunChanged, WrongState) as error:
            logger.info("run %s: %s", run.id, error)
        except HeroServiceError as error:
            if outcome_of(error).way is not Way.fail:
                raise
            logger.warning("run %s: %s", run.id, error)
            if run.state is State.labelling:
                self._store.transition(run, Event.fail, error=str(error), **known_of(error))

    def _collect(self, run: Run, hints: list[Hint]) -> None:
        epochs = {hint.epoch for hint in hints if hint.epoch is not None}
        if run.state is State.labelling or any(hint.epoch is None for hint in hints):
            epochs.add(min(run.epoch, run.epochs - 1))
        collected = collect.reconcile(self._store, self._gateway(), run, epochs)
        self._disagreements.show(self._gateway(), run, changed=bool(collected.changed))
        if run.state is not State.labelling:
            return
        if any(hint.action == START_TRAINING for hint in hints):
            try:
                closing.advance(self._store, self._gateway(), run)
                return
            except NotEnoughFeedback as error:
                logger.warning("%s", error)
                self._note(run, str(error))
                return
        if closing.close_if_labelled(self._store, run).state is State.labelling:
            lacking = collected.lacking(run) or self._ask_for_best(run, collected)
            self._note(run, lacking or self._unfit(run))

    def _ask_for_best(self, run: Run, collected: collect.Collected) -> str | None:
        """Where all is judged and the best is not clear, let people be asked for it.

        May be repeated and may be killed anywhere: a question that stands unanswered is the one.

        Returns:
            What to do where the project's page cannot ask; None if nothing is to be said.
        """
        rows = self._store.annotations(run.id, run.epoch)
        decision = decide_epoch(self._store, run, run.epoch, rows)
        if decision.labelled < len(decision.asked) or not decision.undecided:
            return None
        questions = collected.questions.get(run.epoch, [])
        waiting = [task.task_id for task in questions if not task.annotations]
        asked = min(waiting, default=None)
        if asked is None:
            images = self._store.images(run.id, run.epoch)
            number = len(questions) + 1
            question = question_task(self._settings, run, images, decision.undecided, number)
            if self._store.run(run.id).version != run.version:
                return None
            asked = self._gateway().ask(of_project(run), question)
        if self._store.epochs(run.id)[run.epoch].question_task_id != asked:
            self._store.asked(run, asked)
        if asked is not None:
            return None
        return (
            "All images are judged and it is not clear which is the best, and the project's "
            "labelling page cannot ask for it: call an image the best in the Data Manager, or "
            f"`hero advance {run.id}`."
        )

    def _unfit(self, run: Run) -> str | None:
        """Why people cannot label as they should, if they cannot; looked at once in a while."""
        looked_at, said = self._fitness.get(run.id, (0.0, None))
        if not looked_at or time.monotonic() - looked_at > self._settings.poll_seconds:
            said = self._mend_images(run)
            try:
                self._gateway().check_page(of_project(run), run.labelling.layout)
            except LabelConfigUnusable as error:
                said = str(error)
            self._fitness[run.id] = (time.monotonic(), said)
        return said

    def _mend_images(self, run: Run) -> str | None:
        """Put images that were deleted back from the batch; a sentence if that cannot be done."""
        images = self._store.images(run.id, run.epoch)
        if not missing_images(self._settings, images):
            return None
        logger.warning("run %s: images of epoch %d were deleted", run.id, run.epoch)
        batch = batch_folder(self._settings, run.id, run.epoch)
        place_images(self._settings, batch / "images", run.id, run.epoch)
        missing = missing_images(self._settings, images)
        if not missing:
            return None
        return (
            f"{len(missing)} of {len(images)} images of epoch {run.epoch + 1} are missing, such as "
            f"{self._settings.images_dir / missing[0].path}, and the batch in {batch} lacks them "
            f"too; put the files back, or label the others and `hero advance {run.id}`."
        )

    def _note(self, run: Run, text: str | None) -> None:
        if run.state is State.labelling and run.error != text:
            self._store.note(run, text)


def _trouble(error: Exception) -> str:
    said = (str(error).strip().splitlines() or [""])[0]
    return (
        f"The labels could not be looked at ({type(error).__name__}: {said}); it is tried again, "
        "and the worker's log has the details."
    )


def of_project(run: Run) -> int:
    """The id of a run's project, which exists by now."""
    assert run.project_id is not None
    return run.project_id


def known_of(error: Exception) -> dict[str, Any]:
    """The columns of a run that say what an error has shown."""
    return {"project_gone": True} if isinstance(error, ProjectGone) else {}
