"""One run in a home folder of its own, that goes round alike whoever does its steps."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.engine import make_config
from backend.files import sha256
from backend.labels import closing
from backend.run.records import Run
from backend.settings import Settings
from backend.store import Store
from backend.worker.loop import Worker
from tests.backend.fake_label_studio import FakeLabelStudio

VERDICTS = ["good", "bad", "best", "bad"]
SMALL = {
    "prompt": "one rose",
    "images_per_epoch": 4,
    "epochs": 2,
    "num_inference_steps": 3,
    "sample_batch_size": 2,
    "forward_batch_size": 2,
    "embedding_steps": 3,
}
HERO = {"method": "hero", "trained_steps": 2, "minibatch_size": 4}
HERO_PLUS = {"method": "hero+", "denoising_steps": 2, "denoising_batch_size": 4}


class Circle:
    """One run in a home folder of its own, labelled alike wherever it is made."""

    def __init__(self, home: Path, **fields: Any) -> None:
        self.settings = Settings(home=home, label_studio_url="http://127.0.0.1:1")
        self.store = Store.open(self.settings)
        self.source = FakeLabelStudio()
        self.id = self.store.create_run(make_config(**{**SMALL, **fields}).flat(), project_id=1).id

    @property
    def run(self) -> Run:
        return self.store.run(self.id)

    def worker(self, processes: int = 1) -> Worker:
        settings = self.settings.model_copy(update={"processes": processes})
        return Worker(settings, self.store, gateway=lambda: self.source)  # type: ignore[arg-type, return-value]

    def label(self) -> None:
        self.source.label_all(VERDICTS, self.run.epoch)
        self.worker().poll_once()
        claim = self.store.claim("test", 60)
        assert claim is not None
        closing.freeze(self.store, claim)
        self.store.release(claim)

    def files(self) -> dict[str, str]:
        """Checksums of what was drawn and learned."""
        home = self.settings.home
        kept = [path for path in home.rglob("*") if path.suffix in (".png", ".safetensors")]
        return {str(path.relative_to(home)).replace(self.id, "RUN"): sha256(path) for path in kept}

    def wait(self, true: Callable[[], Any], seconds: float = 120) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return found

    def untouched(self) -> bool:
        """Whether nothing was drawn, and nothing half-written stays."""
        return not list(self.settings.home.rglob("*.png")) and not list(
            self.settings.home.rglob("batches/*")
        )
