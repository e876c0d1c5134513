"""HERO: human-feedback-efficient reinforcement learning of diffusion models (ICLR 2025).

    run = Method.create(preset("blue-rose"))
    batch = run.generate()
    report = run.learn(batch, Feedback(good=(True, False, ...), best=0))

`RunConfig`, `preset` and the errors import no torch; the other names load it when they are used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hero_engine.config import RunConfig
from hero_engine.errors import HeroError
from hero_engine.methods.make_config import make_config, read_config
from hero_engine.methods.table import METHODS
from hero_engine.presets import PRESETS, preset

if TYPE_CHECKING:
    from hero_engine.methods.base import Method
    from hero_engine.methods.check_run import check_run
    from hero_engine.methods.hero import Hero
    from hero_engine.models.drawing import Samples
    from hero_engine.report import Progress, Report
    from hero_engine.storage.batch import Batch, Feedback

_HOMES = {
    "Batch": "storage.batch",
    "Feedback": "storage.batch",
    "Hero": "methods.hero",
    "Method": "methods.base",
    "Progress": "report",
    "Report": "report",
    "Samples": "models.drawing",
    "check_run": "methods.check_run",
}

__all__ = [
    "METHODS",
    "PRESETS",
    "Batch",
    "Feedback",
    "Hero",
    "HeroError",
    "Method",
    "Progress",
    "Report",
    "RunConfig",
    "Samples",
    "check_run",
    "make_config",
    "preset",
    "read_config",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
