"""What a Stable Diffusion run's network is given: how many latents in each pass, under guidance or
not, and whether there is a way back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from hero_engine.diffusion.kernel import Denoiser
from hero_engine.methods.base import Method
from hero_engine.models.policy import Policy


@dataclass(frozen=True)
class Pass:
    """One kind of pass through the network."""

    latents: int
    guided: bool
    """By a second prompt, so that each latent is evaluated twice."""
    with_gradient: bool

    @property
    def evaluations(self) -> int:
        """Of the network, by latent."""
        return self.latents * (2 if self.guided else 1)

    def alone(self, run: Method[Any]) -> None:
        """The same on latents of chance, forward, and back where there is a way back."""
        policy = run.policy
        denoise = policy.denoiser(run.prompt, guided=self.guided)
        z_t = torch.randn(self.latents, *policy.latent_shape)
        timesteps = policy.schedule.timesteps[:1].expand(self.latents)
        with torch.set_grad_enabled(self.with_gradient):
            prediction = denoise(z_t.to(policy.device), timesteps.to(policy.device))
        if self.with_gradient:
            prediction.square().mean().backward()


@contextmanager
def watched(policy: Policy) -> Iterator[Counter[Pass]]:
    """In the block, how often the policy's network is given each kind of pass."""
    made: Counter[Pass] = Counter()
    original = policy.denoiser

    def denoiser(prompt: str | Sequence[str], *, guided: bool = True) -> Denoiser:
        denoise = original(prompt, guided=guided)
        doubled = guided and policy.config.sampling.guidance_scale > 1

        def noted(z_t: Tensor, *others: Tensor) -> Tensor:
            made[Pass(len(z_t), doubled, torch.is_grad_enabled())] += 1
            return denoise(z_t, *others)

        return noted

    with patch.object(policy, "denoiser", denoiser):
        yield made
