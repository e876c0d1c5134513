"""The pull to the pretrained model: noised latents, with what it predicts for them.

Its prediction depends on nothing that is learned, so it is made for several optimizer steps at
once, in passes as wide as those that draw images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.config import SamplingSettings
from hero_engine.diffusion.forward_process import Noised, squared_errors
from hero_engine.diffusion.kernel import Denoiser
from hero_engine.models.policy import Policy
from hero_engine.processes import shared


@dataclass(frozen=True)
class Compared(Noised):
    """Noised latents with the pretrained model's prediction for them."""

    pretrained: Float[Tensor, "batch channel height width"]

    def change(
        self, prediction: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, " batch"]:
        """How far a prediction is from the pretrained model's."""
        return squared_errors(prediction, self.pretrained)


@dataclass(frozen=True)
class Pull:
    """A part of a step's loss that holds the model to the pretrained one."""

    denoise: Denoiser
    """The network for the prompt that is held."""
    parts: Sequence[Noised]
    """On which latents."""
    weight: float


def latents_in_a_pass(sampling: SamplingSettings) -> int:
    """As many as the network gets at once when images are drawn, guidance included."""
    return sampling.images_at_once * (2 if sampling.guidance_scale > 1 else 1)


@torch.no_grad()
def compared(
    policy: Policy, denoise: Denoiser, parts: Sequence[Noised], at_once: int
) -> list[Compared]:
    """The same parts with predictions, `at_once` latents of any of them in a pass."""
    if not parts:
        return []
    latents, device = Noised.concatenate(parts), policy.device

    def predict(_: int, rows: Tensor) -> Tensor:
        return latents[rows].to(device).predicted(denoise).cpu()

    with policy.pretrained():
        made = torch.cat(shared(torch.arange(len(latents)).split(at_once), predict))
    predictions = made.split([len(part) for part in parts])
    return [
        Compared(
            part.z_t,
            part.timesteps,
            part.target,
            part.v_weight,
            prediction,
            captions=part.captions,
        )
        for part, prediction in zip(parts, predictions, strict=True)
    ]
