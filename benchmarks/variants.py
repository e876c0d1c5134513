"""What `benchmarks.research` compares: HERO and hero+ by the tiny preset, some settings changed.

The variants that the engine can still make. docs/research-log.md has all that were tried, measured
at commit 9425af8; the names are its.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FAMILIES = (HERO, PRESET, AT_ONCE) = (
    "HERO",
    "hero+, 64 labels at a time",
    "hero+, 256 labels at once",
)
BASELINE = "hero"
PLUS = "first step, rarity, pull 1"
"""The first form of hero+, but it never steps back."""


@dataclass(frozen=True)
class Variant:
    """One way to learn from the same labels."""

    name: str
    family: str
    config: dict[str, Any]
    """Settings of the engine that differ from the tiny preset's for HERO."""


_PLUS: dict[str, Any] = {
    "keep": "none",
    "method": "hero+",
    "held_share": 0.0,
    "keep_best": False,
    "until": "never",
    "denoising_repeats": 32,
}
_AT_ONCE: dict[str, Any] = {
    **_PLUS,
    "images_per_epoch": 256,
    "epochs": 2,
    "denoising_batch_size": 64,
    "denoising_repeats": 128,
}
_TWO_ROSES: dict[str, Any] = {
    "preservation_weight": 1.0,
    "class_prompt": "photo of two red roses",
    "prior_images": 64,
}


def variants() -> list[Variant]:
    """All of them, those that the others are compared with first."""
    found: dict[str, dict[str, dict[str, Any]]] = {
        HERO: {
            BASELINE: {},
            "hero, half fresh": {"fresh_share": 0.5},
            "hero, all fresh": {"noise": "normal"},
            "hero, no floor": {"reward_std_floor": 1e-6},
        },
        PRESET: {
            PLUS: _PLUS,
            f"{PLUS}, two red roses held": {**_PLUS, **_TWO_ROSES},
            f"{PLUS}, by all failures": {**_PLUS, "denoising_full_share": 1.0},
        },
        AT_ONCE: {
            "256 at once, batches of 64": _AT_ONCE,
            "256 at once, batches of 64, two red roses held": {**_AT_ONCE, **_TWO_ROSES},
            "256 at once, batches of 64, one in 32, two red roses held": {
                **_AT_ONCE,
                **_TWO_ROSES,
                "first_step_share": 1 / 32,
            },
            "256 at once, batches of 64, first step in one of them": {
                **_AT_ONCE,
                "first_step_share": 1 / 64,
            },
        },
    }
    return [
        Variant(name, family, config)
        for family, members in found.items()
        for name, config in members.items()
    ]
