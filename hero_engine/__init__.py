"""HERO: human-feedback-efficient reinforcement learning of diffusion models (ICLR 2025).

    run = Method.create(preset("blue-rose"))
    batch = run.generate()
    report = run.learn(batch, Feedback(good=(True, False, ...), best=0))

`HeroConfig`, `preset` and the errors import no torch; the other names load it when they are used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hero_engine.config import PRESETS, HeroConfig, preset
from hero_engine.errors import HeroError

if TYPE_CHECKING:
    from hero_engine.methods.base import Method, check_run
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
    "check_run": "methods.base",
}

__all__ = [
    "PRESETS",
    "Batch",
    "Feedback",
    "Hero",
    "HeroConfig",
    "HeroError",
    "Method",
    "Progress",
    "Report",
    "Samples",
    "check_run",
    "preset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
