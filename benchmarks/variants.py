"""What `benchmarks.research` compares: HERO by the tiny preset with a few fields changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FAMILIES = (
    HERO,
    STEPS,
    NOISIEST,
    AT_ONCE,
    ANEW,
    GUIDED,
    FRESH,
    IMAGES,
    NOISES,
    PULLS,
    FEEDBACK,
    GUARDS,
) = (
    "HERO",
    "denoising steps",
    "the noisiest timesteps",
    "half of the labels at once",
    "anew in every epoch",
    "guided prediction",
    "fresh, no policy gradient",
    "which good images",
    "bad images, other noises",
    "pulls to the pretrained model",
    "lasting feedback",
    "guards",
)
BASELINE = "hero"
PLUS = "40 steps at 3e-4"
"""What every ingredient alone is added to."""
NO_POLICY_GRADIENT = {"inner_epochs": 0}


@dataclass(frozen=True)
class Variant:
    """One way to learn from the same labels."""

    name: str
    family: str
    config: dict[str, Any]
    """Fields of the engine's configuration that differ from the tiny preset's for HERO."""


def plus(steps: int = 40, lr: float = 3e-4, **fields: Any) -> dict[str, Any]:
    """`hero+` with so many steps on the denoising loss an epoch, and other fields."""
    return {"method": "hero+", "denoising_steps": steps, "denoising_lr": lr, **fields}


_ALONE = {"noise": "normal", **NO_POLICY_GRADIENT}
_V = {"snr_weighting": "snr+1"}
_ENSEMBLE = {"embedding_ensemble": 4, "disagreement_weight": 1.0}
_RARE = {"denoising_weights": "rarity", "denoising_space": "latents"}
_BALANCED = {
    **_V,
    **NO_POLICY_GRADIENT,
    "fresh_share": 0.5,
    "denoising_repeats": 64,
    "pretrained_weight": 0.5,
}
_BY_FAILURES = {"denoising_full_share": 0.25}
_RARE_FIRST_STEP = {
    **_BALANCED,
    **_RARE,
    **_BY_FAILURES,
    "pretrained_weight": 1.0,
    "denoising_repeats": 32,
    "first_step_share": 1 / 16,
}
_AT_ONCE = {
    **_RARE_FIRST_STEP,
    "images_per_epoch": 256,
    "epochs": 2,
    "denoising_batch_size": 64,
    "denoising_repeats": 128,
}
_GUIDED = {"denoising_guided": True}
_EMPTY_CAPTION = {"unconditional_weight": 0.3, "prior_images": 64}
_TWO_ROSES = {
    "preservation_weight": 1.0,
    "class_prompt": "photo of two red roses",
    "prior_images": 64,
}


def variants() -> list[Variant]:
    """All of them, those that the others are compared with first; then the likeliest to win."""
    found = {
        HERO: {
            BASELINE: {},
            "hero, half fresh": {"fresh_share": 0.5},
            "hero, all fresh": {"noise": "normal"},
            "hero, ensemble": _ENSEMBLE,
            "hero, no floor": {"reward_std_floor": 1e-6},
        },
        STEPS: {
            PLUS: plus(),
            "10 steps at 1e-3": plus(10, 1e-3),
            "20 steps at 3e-4": plus(20, 3e-4),
            "40 steps at 1e-3": plus(40, 1e-3),
            "80 steps at 3e-4": plus(80, 3e-4),
            "120 steps at 1e-4": plus(120, 1e-4),
            "40 steps alone": plus(**NO_POLICY_GRADIENT),
        },
        NOISIEST: {
            "v, fresh, alone, pull 0.5": plus(
                120, 1e-3, **_V, **_ALONE, denoising_repeats=64, pretrained_weight=0.5
            ),
            "v, half fresh, alone, pull 0.5": plus(120, 1e-3, **_BALANCED),
            "v, half fresh, alone, pull 0.5, by failures": plus(
                120, 1e-3, **_BALANCED, **_BY_FAILURES
            ),
            "first step": plus(120, 1e-3, **_BALANCED, **_BY_FAILURES, first_step_share=1 / 16),
            "first step, rarity, pull 1": plus(120, 1e-3, **_RARE_FIRST_STEP),
            "first step, rarity, pull 1, two red roses held": plus(
                120, 1e-3, **_RARE_FIRST_STEP, **_TWO_ROSES
            ),
            "first step, rarity, pull 1, by all failures": plus(
                120, 1e-3, **{**_RARE_FIRST_STEP, "denoising_full_share": 1.0}
            ),
            "v, half fresh, alone, pull 0.5, by failures, half bad": plus(
                120, 1e-3, **_BALANCED, **_BY_FAILURES, negative_share=0.5
            ),
            "v, half fresh, alone, pull 0.5, by failures, average": plus(
                120, 1e-3, **_BALANCED, **_BY_FAILURES, lora_ema_decay=0.97
            ),
            "v, half fresh, alone, pull 0.5, average, empty caption 0.3": plus(
                80, 1e-3, **_BALANCED, lora_ema_decay=0.97, **_EMPTY_CAPTION
            ),
            "v, half fresh, alone, pull 0.5, average, rarity": plus(
                80, 1e-3, **{**_BALANCED, **_RARE, "denoising_repeats": 32}, lora_ema_decay=0.97
            ),
        },
        AT_ONCE: {
            "256 at once, batches of 64": plus(120, 1e-3, **_AT_ONCE),
            "256 at once, batches of 64, two red roses held": plus(
                120, 1e-3, **_AT_ONCE, **_TWO_ROSES
            ),
            "256 at once, batches of 64, one in 32, two red roses held": plus(
                120, 1e-3, **{**_AT_ONCE, **_TWO_ROSES, "first_step_share": 1 / 32}
            ),
            "256 at once, batches of 64, first step in one of them": plus(
                120, 1e-3, **{**_AT_ONCE, "first_step_share": 1 / 64}
            ),
        },
        ANEW: {
            "anew, 200 steps": plus(200, 1e-3, **_BALANCED, denoising_anew=True),
        },
        GUIDED: {
            "guided": plus(**_GUIDED),
            "guided, 80 steps": plus(80, **_GUIDED),
            "guided, 40 at 1e-3": plus(40, 1e-3, **_GUIDED),
            "guided, with bad": plus(**_GUIDED, negative_share="judged"),
        },
        FRESH: {
            "fresh, alone, 80 at 1e-3": plus(80, 1e-3, **_ALONE),
            "fresh, alone, 120 at 1e-3": plus(120, 1e-3, **_ALONE),
        },
        IMAGES: {
            name: plus(denoising_weights=weights, denoising_space=space)
            for name, weights, space in (
                ("rarity on z_0", "rarity", "latents"),
                ("novelty on z_0", "novelty", "latents"),
                ("rarity in E", "rarity", "embedding"),
                ("novelty in E", "novelty", "embedding"),
                ("reward", "reward", "embedding"),
            )
        },
        NOISES: {
            "half bad": plus(negative_share=0.5),
            "half bad, beta 0.3": plus(negative_share=0.5, nft_beta=0.3),
            "three quarters bad": plus(negative_share=0.75),
            "half fresh": plus(fresh_share=0.5),
            "all fresh": plus(noise="normal"),
        },
        PULLS: {
            "pull 1": plus(pretrained_weight=1.0),
            "own latents 0.3": plus(preservation_weight=0.3, prior_images=64),
            "empty caption 0.3": plus(**_EMPTY_CAPTION),
        },
        FEEDBACK: {
            "embedding replay": plus(embedding_replay=True),
            "no replay": plus(denoising_replay=False),
        },
        GUARDS: {
            "average": plus(lora_ema_decay=0.97),
            "bound": plus(max_denoising_change=1e-3),
        },
    }
    return [
        Variant(name, family, config)
        for family, members in found.items()
        for name, config in members.items()
    ]
