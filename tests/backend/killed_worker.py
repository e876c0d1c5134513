"""A worker that gets SIGKILL at a point, as from the kernel.

A point is `module:Class.method:before` or `...:after`.
"""

import functools
import importlib
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

from backend.settings import Settings
from backend.store import Store
from backend.worker.loop import Worker
from tests.backend.fake_label_studio import FakeLabelStudio

# Its children start with torch loaded, which takes seconds otherwise.
_WITH_TORCH = multiprocessing.get_context("forkserver")
_WITH_TORCH.set_forkserver_preload(["hero_engine.methods.hero", "backend.worker.loop"])
_WITHOUT = multiprocessing.get_context("spawn")


def kill_at(point: str, home: Path, *, real_label_studio: bool = False) -> None:
    """Let a worker on this home folder do one round, and see that it was killed at the point.

    With a real Label Studio it publishes, which needs no torch; without one it draws or learns.
    """
    context = _WITHOUT if real_label_studio else _WITH_TORCH
    child = context.Process(target=_work, args=(point, home, real_label_studio))
    child.start()
    child.join(600)
    assert child.exitcode == -signal.SIGKILL


def _work(point: str, home: Path, real_label_studio: bool) -> None:
    settings = Settings.load(home)
    store = Store.open(settings)
    gateway: Any = None if real_label_studio else FakeLabelStudio
    _arm(point)
    Worker(settings, store, gateway=gateway).work_once()


def _arm(point: str) -> None:
    module, path, when = point.split(":")
    owner = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    real = getattr(owner, name)

    @functools.wraps(real)
    def killed(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, killed)
