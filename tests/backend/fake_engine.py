"""An engine that draws and learns nothing, for tests of the worker."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from backend.engine import OnProgress
from backend.engine_files import batch_folder, checkpoint_folder
from backend.files import checked_text
from backend.run.records import Run
from backend.settings import Settings

FORECAST = {
    "drawing_seconds": 240.0,
    "learning_seconds": 130.0,
    "peak_bytes": 9_771_050_598,
    "memory_bytes": 12 * 2**30,
    "device": "CPU",
    "images_at_once": 4,
    "latents_at_once": 20,
}
"""370 seconds an epoch and 9.1 GB."""


class FakeEngine:
    """Has `Engine`'s methods and leaves its files; `fails` is raised by the next call."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loaded = False
        self.used_at = time.monotonic()
        self.fails: BaseException | None = None
        self.row_fails: Exception | None = None
        self._stands_at: tuple[str, int] | None = None
        self.calls: list[str] = []
        self.feedback: list[tuple[list[str | None], int | tuple[int, ...] | None]] = []

    def generate(self, run: Run, on_progress: OnProgress) -> Path:
        self._call("generate", on_progress)
        folder = batch_folder(self.settings, run.id, run.epoch)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for index in range(run.images_per_epoch):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(folder / "images" / f"{index:04d}.png")
        scores = [index / 10 for index in range(run.images_per_epoch)] if run.epoch else None
        (folder / "predictions.json").write_text(json.dumps(scores))
        share = run.images_per_epoch // len(run.prompts)
        each = [prompt for prompt in run.prompts for _ in range(share)]
        prompts = {"prompts": each} if len(run.prompts) > 1 else {}
        (folder / "batch.json").write_text(checked_text(prompts))
        self._stands_at = (run.id, run.epoch)
        return folder

    def learn(
        self,
        run: Run,
        verdicts: Sequence[str | None],
        bests: Sequence[int],
        on_progress: OnProgress,
    ) -> dict[str, Any]:
        self._call("learn", on_progress)
        best = bests[0] if bests else None
        self.feedback.append((list(verdicts), best if len(run.prompts) == 1 else tuple(bests)))
        checkpoint_folder(self.settings, run.id, run.epoch + 1).mkdir(parents=True, exist_ok=True)
        self._stands_at = (run.id, run.epoch + 1)
        return {
            "epoch": run.epoch,
            "rewards": [0.5] * len(verdicts),
            "success_rate": 0.5,
            "seconds": {"update": 1.0},
        }

    def try_out(self, run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
        self.calls.append("try_out")
        return {**run.config, "sample_batch_size": 4, "forward_batch_size": 20}, FORECAST

    def let_go(self) -> None:
        self.loaded = False

    @property
    def stands_at(self) -> tuple[str, int] | None:
        return self._stands_at if self.loaded else None

    def draw_row(self, run: Run, folder: Path, n: int, needed: Callable[[], bool]) -> None:
        if self.row_fails is not None:
            raise self.row_fails
        if needed():
            return
        self.loaded, self._stands_at = True, (run.id, run.epoch)
        folder.mkdir(parents=True)
        for index in range(n):
            Image.new("RGB", (8, 8), (run.epoch, index, 0)).save(folder / f"{index:04d}.png")

    def draw_beside(
        self,
        run: Run,
        folder: Path,
        n: int,
        prompt: str | None,
        seed: int,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._call("draw_beside", lambda _, done, total: on_progress(done, total))
        for name, green in (("before", 0), ("after", run.epoch)):
            (folder / name).mkdir(parents=True)
            for index in range(n):
                picture = Image.new("RGB", (8, 8), (index, green, seed))
                picture.save(folder / name / f"{index:04d}.png")

    def _call(self, name: str, on_progress: OnProgress) -> None:
        self.calls.append(name)
        self.loaded = True
        on_progress(name, 1, 2)
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        on_progress(name, 2, 2)
