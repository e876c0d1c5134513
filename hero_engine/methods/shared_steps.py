"""How many steps hero+ makes, and how the prompts of a run share them."""

from collections.abc import Sequence

from hero_engine.feedback.evidence import Tally
from hero_engine.methods.hero_plus_settings import HeroPlusSettings
from hero_engine.methods.standing import HALF

KEPT = 0.25
"""Of its draws, what a prompt that has nothing to mend still gets while others learn: the LoRA that
they change is its own, too."""


def draws_by_prompt(
    settings: HeroPlusSettings, good: Sequence[int], tallies: Sequence[Tally]
) -> list[float]:
    """How often the good latents of each prompt are drawn in an epoch; all 0 where no prompt has
    anything to mend.

    Each prompt is treated as a run of its own with an even share of `denoising_steps`: at most
    `denoising_repeats` draws of each of its `good` latents, twice as many while fewer than half of
    its images are good, and fewer where bad is rare (`denoising_full_share`). `tallies` are the
    verdicts on each prompt's images from N(0, I).
    """
    share = settings.denoising_steps * settings.denoising_batch_size / len(good)
    draws, parts = [], []
    for count, tally in zip(good, tallies, strict=True):
        most = share if count else 0.0
        if settings.denoising_repeats:
            most = min(most, repeats(settings, tally.rate) * float(count))
        draws.append(most)
        parts.append(mending(settings, tally.rate))
    if not any(most * part for most, part in zip(draws, parts, strict=True)):
        return [0.0] * len(draws)
    return [most * max(part, KEPT) for most, part in zip(draws, parts, strict=True)]


def repeats(settings: HeroPlusSettings, rate: float | None) -> int:
    """Most draws of a good latent, by the share of good images."""
    hard = settings.keep_best and rate is not None and rate < HALF
    return settings.denoising_repeats * (2 if hard else 1)


def mending(settings: HeroPlusSettings, rate: float | None) -> float:
    """The part of the draws that there is reason for, by the share of good images."""
    if rate is None:
        return 1.0
    if settings.keep_best and rate >= settings.left_from:
        return 0.0
    full = settings.denoising_full_share
    return min(1.0, (1.0 - rate) / full) if full else 1.0
