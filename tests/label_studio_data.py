"""A Label Studio in which nothing has happened yet: its database is made once (half a minute of
migrations) and kept."""

import os
import shutil
from pathlib import Path

from backend.local.label_studio_server import LocalLabelStudio
from backend.local.processes import free_port, stop
from backend.settings import LABEL_STUDIO_VERSION

ENVIRONMENT = "HERO_TEST_LABEL_STUDIO"
"""Names the folder of a virtual environment with another Label Studio; the folder's own name is the
version."""


def version() -> str:
    """Of the Label Studio that the tests start."""
    other = os.environ.get(ENVIRONMENT)
    return Path(other).name if other else LABEL_STUDIO_VERSION


def program() -> Path | None:
    """What starts it; None for the one beside this Python."""
    other = os.environ.get(ENVIRONMENT)
    return Path(other) / "bin" / "label-studio" if other else None


def kept_label_studio(cache: Path, workshop: Path) -> Path:
    """Its data folder, to be copied; made in `workshop` if the cache has none."""
    kept = cache / "data"
    if not (kept / "account.json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        server = LocalLabelStudio(
            workshop / "data",
            files_root=workshop / "files",
            log=workshop / "first-start.log",
            port=free_port(),
            program=program(),
        )
        try:
            server.start()
        finally:
            stop([server.child])
        copy = cache / f"data-{os.getpid()}"
        shutil.copytree(workshop / "data", copy)
        try:
            copy.rename(kept)
        except OSError:  # another session was quicker
            shutil.rmtree(copy)
    return kept
