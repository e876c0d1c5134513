"""Images from the model as it stands: for any prompt, by any sampler, from given noises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from hero_engine.diffusion import sampling
from hero_engine.diffusion.kernel import Denoiser, predicted
from hero_engine.diffusion.sampling import Transitions
from hero_engine.errors import ConfigError
from hero_engine.models.encoding import pipeline_for_encoded
from hero_engine.models.policy import Policy
from hero_engine.models.sanity import check_images, check_latents
from hero_engine.processes import shared
from hero_engine.report import OnProgress, OnStep, reporting
from hero_engine.streams import row_streams, stream

OnImage = Callable[[int, Image.Image], None]
"""Called with an image's number and the image as soon as it is decoded, where it was drawn."""


Generators = torch.Generator | list[torch.Generator]
Sampler = Callable[
    [Tensor, Tensor | None, Generators, Tensor | None, OnStep | None],
    tuple[Tensor, Transitions | None],
]
"""(noises, captions, generators, steps to keep, progress) -> clean latents, transitions."""


@dataclass(frozen=True)
class Streams:
    """Where a drawing's random numbers come from."""

    seed: int
    epoch: int
    purpose: str

    def of(self, policy: Policy, part: int, rows: Tensor) -> Generators:
        """One generator per row; runs of format 1 have one per part of the batch."""
        if policy.config.format == 1:
            return stream(self.seed, self.epoch, self.purpose, part)
        return row_streams(self.seed, self.epoch, self.purpose, rows.tolist())


@dataclass
class Samples:
    """Images drawn from a fine-tuned model, with the latents they came from."""

    images: list[Image.Image]
    latents: Float[Tensor, "batch channel height width"]
    noises: Float[Tensor, "batch channel height width"]
    transitions: Transitions | None = None


def draw(
    policy: Policy,
    noises: Float[Tensor, "batch channel height width"],
    streams: Streams,
    *,
    prompt: str | Sequence[str],
    captions: Int[Tensor, " batch"] | None = None,
    scheduler: str | None = None,
    trained_steps: Int[Tensor, "batch trained"] | None = None,
    decode: bool = True,
    stage: str = "sampling",
    on_image: OnImage | None = None,
    on_progress: OnProgress | None = None,
) -> Samples:
    """Denoise `noises`, `sample_batch_size` at a time, and decode them: all for one prompt, or each
    for that of several which `captions` names.

    By the run's own schedule, keeping the transitions of `trained_steps`; or by the sampler that
    `scheduler` names, one of `SCHEDULERS`. Without `decode` there are no images, only latents.
    """
    config = policy.config.sampling
    denoise = _sampler(policy, prompt, scheduler)
    parts = torch.arange(len(noises)).split(config.images_at_once)
    steps, precision = config.num_inference_steps, policy.precision

    def draw_part(part: int, rows: Tensor) -> tuple[Tensor, Transitions | None, list[Image.Image]]:
        generators = streams.of(policy, part, rows)
        z_t = noises[rows].to(policy.device)
        of_rows = None if captions is None else captions[rows]
        told = reporting(on_progress, stage, len(parts) * steps, part * steps)
        with policy.autocast():
            z_0, kept = denoise(
                z_t,
                of_rows,
                generators,
                None if trained_steps is None else trained_steps[rows],
                told,
            )
        check_latents(z_0, precision)
        images: list[Image.Image] = []
        if decode:
            for image in policy.decode(z_0):
                if on_image is not None:
                    on_image(int(rows[0]) + len(images), image)
                images.append(image)
        return z_0.cpu(), kept, images

    latents, kept, parts_of_images = zip(*shared(parts, draw_part), strict=True)
    images = [image for part in parts_of_images for image in part]
    check_images(images, precision)
    return Samples(
        images,
        torch.cat(latents),
        noises,
        None if trained_steps is None else Transitions.concatenate(kept),
    )


def _sampler(policy: Policy, prompt: str | Sequence[str], scheduler: str | None) -> Sampler:
    """The run's own schedule, or a plain pipeline with another sampler."""
    if scheduler is None:
        denoiser, schedule = policy.denoiser(prompt), policy.schedule
        return lambda z_t, captions, generators, wanted, told: sampling.sample(
            partial(_captioned, denoiser, captions), schedule, z_t, generators, wanted, told
        )
    if not isinstance(prompt, str):
        raise ConfigError("Another sampler draws for one prompt at a time; name one.")
    pipe: Any = pipeline_for_encoded(policy.family, scheduler)
    config = policy.config
    condition = policy.condition(prompt)

    def through_pipeline(
        z_t: Tensor,
        _: Tensor | None,
        generators: Generators,
        wanted: Tensor | None,
        told: OnStep | None,
    ) -> tuple[Tensor, None]:
        arguments = policy.family.call_arguments(
            prompt, config.negative_prompt, z_t, config.sampling.guidance_scale
        )
        steps = config.sampling.num_inference_steps
        arguments |= policy.family.embedded(condition, len(z_t))
        drawn = pipe(**arguments, generator=generators, num_inference_steps=steps).images
        return policy.family.spatial(drawn), None

    return through_pipeline


def _captioned(
    denoise: Denoiser, captions: Tensor | None, z_t: Tensor, timesteps: Tensor
) -> Tensor:
    return predicted(denoise, z_t, timesteps, captions)
