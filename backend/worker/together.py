"""Several processes that do the steps of a run together: the first one leads, the others follow.

What each of them draws and learns is shared out by `hero_engine/processes.py`. The first process
alone knows the database, writes files, and tells how far a step is.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import torch

from backend.engine import Engine, OnProgress, look_beforehand
from backend.engine_errors import engine_errors
from backend.engine_files import Report
from backend.errors import BadInput, ProcessUnready
from backend.run.records import Claim, Run
from backend.settings import Settings
from backend.store import Store
from hero_engine import processes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What the first process tells the others to do with it."""

    run: Run
    labels: tuple[Sequence[str | None], Sequence[int]] | None = None
    """Verdicts and best images, to learn from; None to draw."""


@contextmanager
def joined() -> Iterator[int]:
    """In the block, this process is one of those that were launched with it; its number.

    Raises:
        ProcessUnready: they do not come together, or have too few GPUs.
    """
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if 0 < gpus < here:
        raise ProcessUnready(
            f"Cannot start {here} processes on {socket.gethostname()}, which has {gpus} GPU"
            f"{'s' * (gpus > 1)}, since each needs one; set HERO_PROCESSES to {gpus}."
        )
    try:
        with engine_errors():
            processes.device()
    except BadInput as error:
        raise ProcessUnready(str(error)) from error
    yield processes.rank()
    processes.leave()


def alone() -> AbstractContextManager[None]:
    """In the block, what the first process does is not done by all, but for the steps."""
    return processes.alone()


class Leader(Engine):
    """The first process's engine: it draws and learns with the others, and does all else alone."""

    def __init__(self, settings: Settings, store: Store) -> None:
        super().__init__(settings)
        self._store = store
        self.broken = False
        """Whether a step ended in the middle, where the others cannot be told anything any more."""

    def draw(
        self, run: Run, on_progress: OnProgress, look: Callable[[Path], None] = lambda folder: None
    ) -> None:
        """`Engine.draw`, by all."""
        with self._followed(Step(run)):
            super().draw(run, on_progress, look)

    def learn_anew(
        self,
        run: Run,
        verdicts: Sequence[str | None],
        bests: Sequence[int],
        on_progress: OnProgress,
    ) -> Report:
        """`Engine.learn_anew`, by all."""
        with self._followed(Step(run, (tuple(verdicts), tuple(bests)))):
            return super().learn_anew(run, verdicts, bests, on_progress)

    def dismiss(self) -> None:
        """Let the others end."""
        processes.decided(lambda: None)

    @contextmanager
    def _followed(self, step: Step) -> Iterator[None]:
        self.let_go()  # all load the model of this step now
        try:
            with processes.together():
                processes.decided(lambda: step)
                look_beforehand(self._settings, step.run, learns=step.labels is not None)
                yield
                self._note_idle_processes(step)
        except BaseException:
            self.broken = True
            raise

    def _before_writing(self, run: Run) -> None:
        assert run.lease_owner is not None
        lease_seconds = self._settings.lease_seconds
        self._store.renew(Claim(run, run.lease_owner, run.fencing_token, lease_seconds))

    def _note_idle_processes(self, step: Step) -> None:
        """Say so if there are more processes than parts of the work."""
        hero, count = self._hero, processes.world_size()
        assert hero is not None
        if step.labels is None:
            parts = ceil(hero.config.images_per_epoch / hero.config.sampling.images_at_once)
            setting = "sample_batch_size"
        elif (work := hero.workload()) is not None:
            parts = ceil(work.at_once / hero.settings.latents_at_once)
            setting = "forward_batch_size"
        else:
            return
        if parts < count:
            logger.warning(
                "run %s: %d of %d processes had something to do, since there were so many forward "
                "passes at a time; a smaller %s makes more of them",
                *(step.run.id, parts, count, setting),
            )


def follow(settings: Settings) -> None:
    """Do the others' part of each step that the first process tells of, until it dismisses them.

    Raises:
        ProcessLost, ProcessUnready, BadInput, EngineFailed: the first process fails too, or ends.
    """
    engine = Engine(settings)
    while (step := _told()) is not None:
        engine.let_go()
        look_beforehand(settings, step.run, learns=step.labels is not None)
        if step.labels is None:
            engine.draw(step.run, _unheard)
        else:
            engine.learn_anew(step.run, *step.labels, _unheard)


def _told() -> Step | None:
    dismissed: Step | None = None
    with engine_errors():
        return processes.decided(lambda: dismissed)


def _unheard(stage: str, done: int, total: int) -> None:
    return None
