"""The good latents of a run's prompts, as a step draws them: rare ones first, and each under its
own prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.feedback.replay import Replay, draw, rarity


@dataclass(frozen=True)
class Examples:
    """Good clean latents, and how often each is drawn."""

    latents: Float[Tensor, "good channel height width"]
    weights: Float[Tensor, " good"]
    captions: Int[Tensor, " good"] | None = None
    """The number of each one's prompt; None where the run has one."""

    @classmethod
    def of(cls, replays: Sequence[Replay], shares: Sequence[float]) -> "Examples":
        """Of each prompt's good latents, with the prompts' shares of all that is drawn."""
        goods = [replay.good_latents for replay in replays]
        if len(goods) == 1:
            return cls(goods[0], rarity(goods[0].flatten(1)))
        captions, weights = [], []
        for number, (good, share) in enumerate(zip(goods, shares, strict=True)):
            captions += [number] * len(good)
            if len(good):
                rare = rarity(good.flatten(1))
                weights.append(share * rare / rare.sum())
        return cls(torch.cat(goods), torch.cat(weights), torch.tensor(captions))

    def only(self, number: int) -> "Examples":
        """Those of one prompt, or all of them where it has none."""
        if self.captions is None:
            return self
        rows = self.captions == number
        return Examples(self.latents[rows], self.weights[rows]) if rows.any() else self

    def draw(
        self, n: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n channel height width"], Int[Tensor, " n"] | None]:
        """n of them, with replacement, and the numbers of their prompts."""
        rows = draw(torch.arange(len(self.latents)), self.weights, n, generator)
        return self.latents[rows], None if self.captions is None else self.captions[rows]
