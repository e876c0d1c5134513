"""A real Label Studio for benchmarks, and a run whose images wait in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.settings import LABEL_STUDIO_VERSION, Settings
from tests.e2e.conftest import RunningLabelStudio, running
from tests.label_studio_data import kept_label_studio

CACHE = Path(__file__).parents[1] / ".pytest_cache" / "d" / f"label-studio-{LABEL_STUDIO_VERSION}"
"""Where the tests keep one in which nothing has happened."""


@contextmanager
def started() -> Iterator[tuple[RunningLabelStudio, Settings]]:
    """One on SQLite, and the settings of a backend beside it."""
    with tempfile.TemporaryDirectory(prefix="hero-bench-") as folder:
        home = Path(folder)
        CACHE.mkdir(parents=True, exist_ok=True)
        empty = kept_label_studio(CACHE, home / "first-start")
        with running(empty, home / "label-studio") as server:
            yield (
                server,
                Settings(
                    home=server.root / "bench",
                    label_studio_url=server.url,
                    label_studio_api_key=server.token,
                    local_files_root=server.root,
                ),
            )
