"""A few images from the same noises after every epoch, so that one sees the model change.

They are drawn while people label and nobody needs the engine: a row never delays a run's step,
and a run never fails for want of one.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from filelock import FileLock, Timeout

from backend.engine import Engine
from backend.engine_files import checkpoint_folder, missing_rows, row_folder
from backend.run.records import Run
from backend.run.states import ACTIVE, State
from backend.settings import Settings
from backend.store import Store

logger = logging.getLogger(__name__)


class SampleRows:
    """Draws the rows that are missing, one at a time.

    Args:
        needed: whether the engine is needed for something else; asked at every denoising step.
    """

    def __init__(
        self, settings: Settings, store: Store, engine: Engine, needed: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._store = store
        self._engine = engine
        self._needed = needed
        self._given_up: set[tuple[str, int]] = set()
        self._looked_through: set[str] = set()

    def draw_one(self) -> bool:
        """Draw one row: of the loaded model, else of a finished run if no run is active.

        Returns:
            False if there was none to draw.
        """
        if self._settings.sample_row == 0:
            return False
        due = self._of_loaded_model() or self._of_finished_run()
        if due is None:
            return False
        run, epoch = due
        folder = row_folder(self._settings, run.id, epoch)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.parent / ".lock", timeout=0):
                self._engine.draw_row(
                    replace(run, epoch=epoch), folder, self._settings.sample_row, self._needed
                )
        except Timeout:
            return False
        except Exception as error:
            self._given_up.add((run.id, epoch))
            logger.warning("no sample row of run %s after %d epochs: %s", run.id, epoch, error)
        return True

    def _of_loaded_model(self) -> tuple[Run, int] | None:
        if self._engine.stands_at is None:
            return None
        run_id, epoch = self._engine.stands_at
        if not self._wanted(run_id, epoch):
            return None
        return self._store.run(run_id), epoch

    def _of_finished_run(self) -> tuple[Run, int] | None:
        states = self._store.states()
        if any(state in ACTIVE for state in states.values()):
            return None
        finished = {run_id for run_id, state in states.items() if state is State.finished}
        for run_id in sorted(finished - self._looked_through):
            run = self._store.run(run_id)
            for epoch in missing_rows(self._settings, run):
                if self._wanted(run_id, epoch) and self._can_load(run_id, epoch):
                    return run, epoch
            self._looked_through.add(run_id)
        return None

    def _wanted(self, run_id: str, epoch: int) -> bool:
        given_up = (run_id, epoch) in self._given_up
        return not given_up and not row_folder(self._settings, run_id, epoch).exists()

    def _can_load(self, run_id: str, epoch: int) -> bool:
        """Whether the model of that epoch lies on this machine's disk."""
        start = self._settings.run_dir(run_id) / "batches"
        return (checkpoint_folder(self._settings, run_id, epoch) if epoch else start).exists()
