"""The same runs without any trouble: what their batches and checkpoints have to be, bit for bit."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from backend.engine import Engine
from backend.engine_files import batch_folder, checkpoint_folder
from backend.run.records import Run
from backend.settings import Settings
from tests.chaos import opinion
from tests.chaos.processes import FORKS

Sums = Mapping[str, str]
"""The checksum of each file, by its path in the folder of the run."""


def sums(settings: Settings, run: Run, epochs: int) -> Sums:
    """Of the batches and checkpoints of so many epochs, as they lie on the disk."""
    home = settings.run_dir(run.id)
    found: dict[str, str] = {}
    for epoch in range(epochs):
        folders = (
            batch_folder(settings, run.id, epoch),
            checkpoint_folder(settings, run.id, epoch + 1),
        )
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    found[str(path.relative_to(home))] = digest
    return found


class Undisturbed:
    """Computed beside the life, in a process of its own; `sums` waits for it."""

    def __init__(self, home: Path, run: Run) -> None:
        self._settings, self._run = Settings(home=home), run
        self._sums: Sums | None = None
        self._process = FORKS.Process(target=_make, args=(self._settings, run))
        self._process.start()

    def sums(self, epochs: int) -> Sums:
        """Of the first epochs."""
        if self._process.is_alive():
            self._process.join()
        assert self._process.exitcode == 0
        return sums(self._settings, self._run, epochs)


def _make(settings: Settings, run: Run) -> None:
    engine = Engine(settings)
    for epoch in range(run.epochs):
        now = replace(run, epoch=epoch)
        engine.generate(now, _no_progress)
        said = opinion.verdicts(run.id, epoch)
        engine.learn(now, said, (said.index("best"),), _no_progress)


def _no_progress(stage: str, done: int, total: int) -> None:
    return
