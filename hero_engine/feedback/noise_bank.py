"""pi_HERO: the distribution of initial noises, refined by feedback (paper, Sec. 4.3, Eq. 5)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class NoiseBank:
    """The noises z_T of the last epoch that had good images.

    `best` is among `good` in the epoch that chose it; an epoch without a choice keeps the best
    noise of the one before, if there was one.
    """

    good: Float[Tensor, "good channel height width"]
    best: Float[Tensor, "channel height width"] | None


def fresh_count(bank: NoiseBank | None, n: int, fresh_share: float) -> int:
    """How many of a batch of n noises are drawn from N(0, I); they are its last ones.

    All as long as there is no bank, then a fixed number.
    """
    return n if bank is None else math.floor(fresh_share * n + 0.5)


def pi_hero(
    bank: NoiseBank | None,
    n: int,
    shape: tuple[int, int, int],
    *,
    best_image_ratio: float,
    noise_variance: float,
    noise_form: Literal["additive", "variance-preserving"],
    generator: torch.Generator,
) -> Float[Tensor, "n channel height width"]:
    """Draw n initial noises from pi_HERO (Eq. 5).

    Without a bank, N(0, I). Otherwise round(best_image_ratio * n) noises are drawn round the best
    noise, and the rest round good noises chosen uniformly; the paper's mixture, with the share of
    its first part fixed instead of drawn.
    """
    if bank is None:
        return torch.randn(n, *shape, generator=generator)
    round_best = math.floor(best_image_ratio * n + 0.5) if bank.best is not None else 0
    chosen = torch.randint(len(bank.good), (n - round_best,), generator=generator)
    centres = bank.good[chosen]
    if bank.best is not None:
        centres = torch.cat([bank.best.expand(round_best, *shape), centres])
    return perturb(centres, noise_variance, noise_form, generator)


def perturb(
    centres: Float[Tensor, "n channel height width"],
    noise_variance: float,
    noise_form: Literal["additive", "variance-preserving"],
    generator: torch.Generator,
) -> Float[Tensor, "n channel height width"]:
    """One draw round each centre: N(z, eps0^2 I) (Eq. 5), or sqrt(1 - eps0^2) z + eps0 n.

    The second keeps the unit variance of the prior however many epochs follow one another. The
    authors' code is that form with eps0^2 = 0.01.
    """
    noise = torch.randn(centres.shape, generator=generator)
    keep = math.sqrt(1.0 - noise_variance) if noise_form == "variance-preserving" else 1.0
    return keep * centres + math.sqrt(noise_variance) * noise
