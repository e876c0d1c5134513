"""What `benchmarks.research` compares: HERO by the tiny preset with a few fields changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FAMILIES = (
    HERO,
    STEPS,
    AT_ONCE,
    NOISIEST,
    ANEW,
    GUIDED,
    GENTLE,
    IMAGES,
    NOISES,
    PULLS,
    FEEDBACK,
    GUARDS,
    TOGETHER,
) = (
    "HERO",
    "denoising steps",
    "all labels at once",
    "the noisiest timesteps",
    "anew in every epoch",
    "guided prediction",
    "less or no policy gradient",
    "which good images",
    "bad images, other noises",
    "pulls to the pretrained model",
    "lasting feedback",
    "guards",
    "together",
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


def guided(steps: int = 40, lr: float = 3e-4, **fields: Any) -> dict[str, Any]:
    """`plus`, with the guided prediction as what learns."""
    return plus(steps, lr, denoising_guided=True, **fields)


_FRESH = {"noise": "normal"}
_ALONE = {**_FRESH, **NO_POLICY_GRADIENT, "denoising_repeats": 64}
_V = {"snr_weighting": "snr+1"}
_JUDGED = {"negative_share": "judged"}
_ENSEMBLE = {"embedding_ensemble": 4, "disagreement_weight": 1.0}
_GENTLE = {"learning_rate": 2e-3}
_STEADY = {"fresh_share": 0.5, "embedding_replay": True, **_ENSEMBLE}
_RARE = {"denoising_weights": "rarity", "denoising_space": "latents"}
_WIDE = {**_RARE, "fresh_share": 0.5, "negative_share": 0.5}
_AT_ONCE = {**_FRESH, **NO_POLICY_GRADIENT, "images_per_epoch": 256, "epochs": 1}
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
_HELD = {"preservation_weight": 0.3, "unconditional_weight": 0.3, "prior_images": 64}


def variants() -> list[Variant]:
    """All of them, those that the others are compared with first; then the likeliest to win."""
    found = {
        HERO: {
            BASELINE: {},
            "hero, half fresh": {"fresh_share": 0.5},
            "hero, all fresh": {"noise": "normal"},
            "hero, ensemble": _ENSEMBLE,
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
        AT_ONCE: {
            "at once, 100 steps": plus(100, 1e-3, **_AT_ONCE),
            "at once, 400 steps": plus(400, 1e-3, **_AT_ONCE),
            "at once, v, 100 steps": plus(100, 1e-3, **_AT_ONCE, **_V),
            "at once, half bad, 100 steps": plus(100, 1e-3, **_AT_ONCE, negative_share=0.5),
        },
        NOISIEST: {
            "v": plus(**_V),
            "v, fresh, alone": plus(40, 1e-3, **_V, **_FRESH, **NO_POLICY_GRADIENT),
            "v, fresh, alone, pull 0.3": plus(60, 1e-3, **_V, **_ALONE, pretrained_weight=0.3),
            "v, fresh, alone, pull 0.5": plus(120, 1e-3, **_V, **_ALONE, pretrained_weight=0.5),
            "v, half fresh, alone, pull 0.5": plus(120, 1e-3, **_BALANCED),
            "v, half fresh, alone, pull 0.5, by failures": plus(
                120, 1e-3, **_BALANCED, **_BY_FAILURES
            ),
            "first step": plus(120, 1e-3, **_BALANCED, **_BY_FAILURES, first_step_share=1 / 16),
            "first step, rarity, pull 1": plus(120, 1e-3, **_RARE_FIRST_STEP),
            "first step, rarity, pull 1, by all failures": plus(
                120, 1e-3, **{**_RARE_FIRST_STEP, "denoising_full_share": 1.0}
            ),
            "v, half fresh, alone, pull 0.5, by failures, average": plus(
                120, 1e-3, **_BALANCED, **_BY_FAILURES, lora_ema_decay=0.97
            ),
            "v, half fresh, alone, pull 0.5, average, empty caption 0.3": plus(
                80,
                1e-3,
                **_BALANCED,
                lora_ema_decay=0.97,
                unconditional_weight=0.3,
                prior_images=64,
            ),
            "v, half fresh, alone, pull 0.5, average, rarity": plus(
                80, 1e-3, **{**_BALANCED, **_RARE, "denoising_repeats": 32}, lora_ema_decay=0.97
            ),
        },
        ANEW: {
            "anew, 200 steps": plus(200, 1e-3, **_BALANCED, denoising_anew=True),
        },
        GUIDED: {
            "guided": guided(),
            "guided, 80 steps": guided(80),
            "guided, 40 at 1e-3": guided(40, 1e-3),
            "guided, with bad": guided(**_JUDGED),
            "guided, with bad, 80 at 1e-3": guided(80, 1e-3, **_JUDGED),
            "guided, fresh": guided(**_FRESH),
            "guided, fresh, with bad": guided(**_FRESH, **_JUDGED),
            "guided, fresh, with bad, 80 at 1e-3": guided(80, 1e-3, **_FRESH, **_JUDGED),
            "guided, fresh, alone": guided(80, **_FRESH, **NO_POLICY_GRADIENT),
            "guided, fresh, alone, 80 at 1e-3": guided(80, 1e-3, **_FRESH, **NO_POLICY_GRADIENT),
            "guided, fresh, with bad, alone": guided(80, **_FRESH, **_JUDGED, **NO_POLICY_GRADIENT),
            "guided, fresh, with bad, alone, 80 at 1e-3": guided(
                80, 1e-3, **_FRESH, **_JUDGED, **NO_POLICY_GRADIENT
            ),
            "guided, fresh, with bad, alone, 80 at 3e-3": guided(
                80, 3e-3, **_FRESH, **_JUDGED, **NO_POLICY_GRADIENT
            ),
            "guided, fresh, with bad, alone, beta 0.3": guided(
                80, 1e-3, **_FRESH, **_JUDGED, **NO_POLICY_GRADIENT, nft_beta=0.3
            ),
            "guided, half fresh, with bad, held": guided(
                80, 1e-3, fresh_share=0.5, **_JUDGED, **_HELD
            ),
            "guided, fresh, with bad, held": guided(80, 1e-3, **_FRESH, **_JUDGED, **_HELD),
            "guided, fresh, with bad, alone, held": guided(
                80, 1e-3, **_FRESH, **_JUDGED, **_HELD, **NO_POLICY_GRADIENT
            ),
        },
        GENTLE: {
            "gentle": plus(40, 1e-3, **_GENTLE),
            "gentle, half fresh": plus(40, 1e-3, **_GENTLE, **_STEADY),
            "gentle, half fresh, 80 steps": plus(80, 1e-3, **_GENTLE, **_STEADY),
            "gentle, half fresh, half bad": plus(
                40, 1e-3, **_GENTLE, **_STEADY, negative_share=0.5
            ),
            "gentle, half fresh, held": plus(40, 1e-3, **_GENTLE, **_STEADY, **_HELD),
            "steady": plus(**_STEADY),
            "steady, 80 steps": plus(80, **_STEADY),
            "steady, half bad": plus(**_STEADY, negative_share=0.5),
            "fresh, alone, 80 at 1e-3": plus(80, 1e-3, **_FRESH, **NO_POLICY_GRADIENT),
            "fresh, alone, 120 at 1e-3": plus(120, 1e-3, **_FRESH, **NO_POLICY_GRADIENT),
            "fresh, alone, 80 at 1e-3, half bad": plus(
                80, 1e-3, **_FRESH, **NO_POLICY_GRADIENT, negative_share=0.5
            ),
            "half fresh, alone, 80 at 1e-3": plus(80, 1e-3, fresh_share=0.5, **NO_POLICY_GRADIENT),
        },
        TOGETHER: {
            "wide": plus(**_WIDE),
            "wide, held": plus(**_WIDE, **_HELD),
            "wide, held, guarded": plus(**_WIDE, **_HELD, step_back_drop=0.2, lora_ema_decay=0.97),
            "wide, fast": plus(40, 1e-3, **_WIDE),
            "wide, fast, held": plus(40, 1e-3, **_WIDE, **_HELD),
            "wide, steps alone": plus(80, 3e-4, **_WIDE, **NO_POLICY_GRADIENT),
            "wide, pull": plus(80, 3e-4, **_WIDE, pretrained_weight=0.3),
            "wide, beta 0.3": plus(80, 3e-4, **_WIDE, nft_beta=0.3),
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
            "pull 0.1": plus(pretrained_weight=0.1),
            "pull 1": plus(pretrained_weight=1.0),
            "own latents 0.3": plus(preservation_weight=0.3, prior_images=64),
            "empty caption 0.3": plus(unconditional_weight=0.3, prior_images=64),
        },
        FEEDBACK: {
            "embedding replay": plus(embedding_replay=True),
            "ensemble": plus(**_ENSEMBLE),
        },
        GUARDS: {
            "average": plus(lora_ema_decay=0.97),
            "step back 0.15": plus(step_back_drop=0.15),
            "bound": plus(max_denoising_change=1e-3),
        },
    }
    return [
        Variant(name, family, config)
        for family, members in found.items()
        for name, config in members.items()
    ]
