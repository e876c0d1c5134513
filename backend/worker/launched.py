"""Each step by several processes that torchrun starts for it: `HERO_PROCESSES`.

The worker keeps the lease, and waits. What it gives the processes and hears from them lies in a
folder that lives as long as the step; their input ends when the worker does, and they with it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backend import errors
from backend.engine import Engine, OnProgress
from backend.engine_files import Report, batch_folder, checkpoint_folder, read_report
from backend.errors import EngineFailed, HeroServiceError, ProcessLost
from backend.run.records import Run
from backend.settings import Settings

ORDER = "order.json"
"""Which step it is: what the worker gives the first process."""
PROGRESS = "progress.json"
"""Stage, units done, units in all: what the worker hears from it."""
TROUBLE = "trouble-*.json"
"""Kind and sentence of what a process ended with, by its number."""
TICK_SECONDS = 0.5
END_SECONDS = 30.0
"""In which processes whose input has ended are gone, or are killed."""


class LaunchedEngine(Engine):
    """Draws and learns in processes of their own; all else in this one."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._last: tuple[str, int] | None = None

    @property
    def stands_at(self) -> tuple[str, int] | None:
        """Run, and number of epochs learned, of the loaded model, or else of the last step's."""
        return super().stands_at or self._last

    def generate(self, run: Run, on_progress: OnProgress) -> Path:
        """`Engine.generate`, by several processes.

        Raises:
            ProcessLost, ProcessUnready: too.
        """
        folder = batch_folder(self._settings, run.id, run.epoch)
        if not folder.exists():
            self._launch(run, on_progress, folder)
        self._last = run.id, run.epoch
        return folder

    def learn(
        self,
        run: Run,
        verdicts: Sequence[str | None],
        bests: Sequence[int],
        on_progress: OnProgress,
    ) -> Report:
        """`Engine.learn`, by several processes.

        Raises:
            ProcessLost, ProcessUnready: too.
        """
        checkpoint = checkpoint_folder(self._settings, run.id, run.epoch + 1)
        if not checkpoint.exists():
            labels = {"verdicts": list(verdicts), "bests": list(bests)}
            self._launch(run, on_progress, checkpoint, labels)
        self._last = run.id, run.epoch + 1
        return read_report(self._settings, run.id, run.epoch + 1)

    def _launch(
        self,
        run: Run,
        on_progress: OnProgress,
        made: Path,
        labels: Mapping[str, Any] | None = None,
    ) -> None:
        """Let the processes do the step, which puts a folder in its place when all is done."""
        self.let_go()  # the processes need the memory
        count = self._settings.processes
        order = {
            "run": run.id,
            "epoch": run.epoch,
            "worker": run.lease_owner,
            "token": run.fencing_token,
            "labels": labels,
        }
        with TemporaryDirectory(prefix="hero-step-") as name:
            folder, stage = Path(name), (f"starting {count} processes", 0, count)
            (folder / ORDER).write_text(json.dumps(order))
            with self._processes(count, folder) as launcher:
                while launcher.poll() is None:
                    stage = _progress(folder) or stage
                    on_progress(*stage)
                    time.sleep(TICK_SECONDS)
            if not made.exists():
                raise _trouble(folder, count)
        self.used_at = time.monotonic()

    @contextmanager
    def _processes(self, count: int, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """torchrun's own process, which has ended after the block, with all that it started."""
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
        of_step = ["--nproc-per-node", str(count), "-m", "backend.worker.step", str(folder)]
        launcher = subprocess.Popen(
            [sys.executable, *torchrun, "--max-restarts", "0", *of_step],
            stdin=subprocess.PIPE,
            env={
                **os.environ,
                "HERO_HOME": str(self._settings.home),
                "HERO_DATABASE_URL": self._settings.database_url,
            },
            start_new_session=True,  # Ctrl-C is for the worker
        )
        try:
            yield launcher
        finally:
            assert launcher.stdin is not None
            launcher.stdin.close()
            try:
                launcher.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                launcher.kill()
                launcher.wait()


def _progress(folder: Path) -> tuple[str, int, int] | None:
    try:
        stage, done, total = json.loads((folder / PROGRESS).read_text())
    except FileNotFoundError:
        return None
    return stage, done, total


def _trouble(folder: Path, count: int) -> HeroServiceError:
    """What the processes ended with: where one failed and the others lost it, what it failed with;
    where one was killed, that."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob(TROUBLE))]
    causes = [each for each in found if each["kind"] != ProcessLost.__name__]
    if not causes:
        return ProcessLost(
            f"One of the {count} processes of the step was killed, perhaps for want of memory; "
            "nothing was kept (the worker's log says which)."
        )
    kind, text = causes[0]["kind"], causes[0]["text"]
    known = getattr(errors, kind, EngineFailed)
    return known(text)
