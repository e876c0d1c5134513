"""A Label Studio in which nothing has happened yet: its database is made once (half a minute of
migrations) and kept."""

import os
import shutil
from pathlib import Path

from backend.local.label_studio_server import LocalLabelStudio
from backend.local.processes import free_port, stop


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
