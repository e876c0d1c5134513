"""The clean latents that people have judged so far, of all epochs."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hero_engine.storage.batch import Batch, Feedback


@dataclass(frozen=True)
class Replay:
    """Every judged z_0 of a run, with its verdict."""

    latents: Float[Tensor, "judged channel height width"]
    good: Bool[Tensor, " judged"]

    @classmethod
    def empty(cls, shape: tuple[int, int, int]) -> "Replay":
        """Nothing judged yet."""
        return cls(torch.zeros(0, *shape), torch.zeros(0, dtype=torch.bool))

    def add(self, batch: Batch, feedback: Feedback) -> "Replay":
        """With a batch's judged images behind the earlier ones."""
        judged = [index for index, verdict in enumerate(feedback.good) if verdict is not None]
        verdicts = torch.tensor([bool(feedback.good[index]) for index in judged], dtype=torch.bool)
        return Replay(
            torch.cat([self.latents, batch.latents[judged]]), torch.cat([self.good, verdicts])
        )

    def draw(
        self,
        n: int,
        generator: torch.Generator,
        *,
        good: bool,
        weights: Float[Tensor, " alike"] | None = None,
    ) -> Float[Tensor, "n channel height width"]:
        """n latents of one verdict, drawn with replacement: alike, or in proportion to `weights`,
        one for each latent of that verdict."""
        latents = self.latents[self.good == good]
        if n == 0:
            return latents[:0]
        if weights is None:
            rows = torch.randint(len(latents), (n,), generator=generator)
        else:
            rows = torch.multinomial(weights, n, replacement=True, generator=generator)
        return latents[rows]
