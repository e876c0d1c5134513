"""The forward process: clean latents noised, and what the network should say of them.

Latents that people called good are noised, z_t = alpha_t z_0 + sigma_t epsilon, and the network is
asked what was done to them. Which terms a method adds up is its own affair
(`methods/hero_plus.py`, `methods/dreambooth.py`).
"""

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.diffusion.kernel import Denoiser, predicted
from hero_engine.diffusion.rows import Rows

Levels = tuple[float, float]
"""A part of the noise levels that a model was trained on: from which share of them on to which, the
cleanest first."""
ALL_LEVELS: Levels = (0.0, 1.0)


@dataclass(frozen=True)
class Noised(Rows):
    """Clean latents after the forward process, and what the network should say of them."""

    z_t: Float[Tensor, "batch channel height width"]
    timesteps: Tensor
    """[batch], as the network takes them."""
    target: Float[Tensor, "batch channel height width"]
    v_weight: Float[Tensor, " batch"]
    """What the prediction's squared error counts as an error of v (Salimans & Ho, 2022), to which
    the noisiest timesteps contribute most."""
    captions: Int[Tensor, " batch"] | None = field(default=None, kw_only=True)
    """The number of each one's prompt; None where all have the same."""

    def predicted(self, denoise: Denoiser) -> Float[Tensor, "batch channel height width"]:
        """What a network says of them."""
        return predicted(denoise, self.z_t, self.timesteps, self.captions)

    def captioned(self, captions: Int[Tensor, " batch"] | None) -> "Noised":
        """The same, each under its own prompt."""
        return replace(self, captions=captions)


@runtime_checkable
class ForwardProcess(Protocol):
    """How a family of models noises clean latents."""

    def noised(
        self,
        z_0: Float[Tensor, "batch channel height width"],
        generator: torch.Generator,
        levels: Levels = ALL_LEVELS,
    ) -> Noised:
        """z_0 at timesteps drawn as the model was trained, of these levels, with the model's
        target."""
        ...

    def noise_only(
        self, z_0: Float[Tensor, "batch channel height width"], generator: torch.Generator
    ) -> Noised:
        """z_0 with a noise that knows nothing of it, where sampling begins."""
        ...


@dataclass(frozen=True)
class VariancePreserving:
    """alpha_t^2 + sigma_t^2 = 1 at whole timesteps: the process of DDPM and DDIM."""

    alphas_cumprod: Float[Tensor, " timestep"]
    prediction_type: Literal["epsilon", "sample", "v_prediction"]
    first_timestep: int
    """The one at which sampling begins."""

    def noised(
        self,
        z_0: Float[Tensor, "batch channel height width"],
        generator: torch.Generator,
        levels: Levels = ALL_LEVELS,
    ) -> Noised:
        """z_0 at uniformly drawn timesteps."""
        low, high = (round(share * len(self.alphas_cumprod)) for share in levels)
        timesteps = torch.randint(low, high, (len(z_0),), generator=generator)
        epsilon = torch.randn(z_0.shape, generator=generator)
        return self._noised(z_0, epsilon, timesteps)

    def noise_only(
        self, z_0: Float[Tensor, "batch channel height width"], generator: torch.Generator
    ) -> Noised:
        """z_0 with a noise that knows nothing of it, from `first_timestep` on: as sampling begins.

        The forward process never gets there. Its last z_t still has an image's coarse shape in it
        (Lin et al., 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed"), so a
        network that has only seen the noised images of one kind reads what it likes into noise
        alone. For z_t to be the noise, epsilon has to be (z_t - alpha_t z_0) / sigma_t.
        """
        last = len(self.alphas_cumprod)
        timesteps = torch.randint(self.first_timestep, last, (len(z_0),), generator=generator)
        z_t = torch.randn(z_0.shape, generator=generator)
        alpha = self.alphas_cumprod[timesteps][:, None, None, None]
        epsilon = (z_t - alpha.sqrt() * z_0) / (1 - alpha).sqrt()
        return self._noised(z_0, epsilon, timesteps)

    def _noised(
        self,
        z_0: Float[Tensor, "batch channel height width"],
        epsilon: Float[Tensor, "batch channel height width"],
        timesteps: Int[Tensor, " batch"],
    ) -> Noised:
        alpha = self.alphas_cumprod[timesteps]
        signal = (alpha**0.5)[:, None, None, None]
        noise = ((1 - alpha) ** 0.5)[:, None, None, None]
        targets = {
            "epsilon": epsilon,
            "sample": z_0,
            "v_prediction": signal * epsilon - noise * z_0,
        }
        return Noised(
            z_t=signal * z_0 + noise * epsilon,
            timesteps=timesteps,
            target=targets[self.prediction_type],
            v_weight=v_weights(alpha / (1 - alpha), self.prediction_type),
        )


def v_weights(
    snr: Float[Tensor, " batch"], prediction_type: Literal["epsilon", "sample", "v_prediction"]
) -> Float[Tensor, " batch"]:
    """What makes the prediction's squared error one of v, by the signal-to-noise ratio.

    The squared error of v is SNR + 1 times that of z_0, and that of epsilon SNR times.
    """
    of_v = snr + 1
    return (
        of_v
        / {"sample": torch.ones_like(snr), "epsilon": snr, "v_prediction": of_v}[prediction_type]
    )


def squared_errors(
    prediction: Float[Tensor, "batch channel height width"],
    target: Float[Tensor, "batch channel height width"],
) -> Float[Tensor, " batch"]:
    """Mean over the latent's dimensions: the denoising loss, given the forward process's target.

    Given the pretrained model's prediction it is the KL between the two models' steps, up to a
    factor that depends on the timestep.
    """
    return (prediction - target).square().mean(dim=(1, 2, 3))
