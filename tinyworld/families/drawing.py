"""Sampling from the other families' pipelines with diffusers alone."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusion3Pipeline,
)
from diffusers.utils import logging
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor

GUIDANCE = 3.0


class StochasticFlow(FlowMatchEulerDiscreteScheduler):
    """DDIM's step (Song et al. 2021, Eq. 12 and 16) on the straight path: alpha is 1 - sigma.

    `eta` 0 is the parent's step, 1 the ancestral one.
    """

    eta: float = 1.0
    generator: torch.Generator | None = None
    """Of the noise: the pipeline passes none on."""

    def step(  # type: ignore[override]  # what the pipeline gives and takes, no more
        self,
        model_output: Tensor,
        timestep: Tensor,
        sample: Tensor,
        return_dict: bool = True,
        **_: Any,
    ) -> tuple[Tensor]:
        """One step towards the image; for the pipeline, which takes a tuple."""
        index = int((self.timesteps == timestep).nonzero())
        now, after = self.sigmas[index].item(), self.sigmas[index + 1].item()
        clean = sample.float() - now * model_output.float()
        noise = sample.float() + (1 - now) * model_output.float()
        variance = (after / now) ** 2 * (now**2 - ((1 - now) / (1 - after)) ** 2 * after**2)
        deviation = self.eta * variance**0.5
        fresh = randn_tensor(sample.shape, self.generator, sample.device, torch.float32)
        mean = (1 - after) * clean + (after**2 - deviation**2) ** 0.5 * noise
        return ((mean + deviation * fresh).to(model_output.dtype),)


def load_family(path: Path) -> DiffusionPipeline:
    """The pipeline in single precision, without a progress bar."""
    logging.disable_progress_bar()
    pipeline = DiffusionPipeline.from_pretrained(path, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(
    pipeline: DiffusionPipeline,
    prompt: str,
    count: int,
    *,
    steps: int = 20,
    guidance_scale: float = GUIDANCE,
    eta: float = 1.0,
    seed: int = 0,
    batch_size: int = 50,
) -> list[Image.Image]:
    """`count` images of the prompt from N(0, I) noise; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(pipeline, StableDiffusion3Pipeline):
        pipeline.scheduler = StochasticFlow.from_config(pipeline.scheduler.config)
        pipeline.scheduler.eta, pipeline.scheduler.generator = eta, generator
        own: dict[str, Any] = {"max_sequence_length": pipeline.tokenizer_3.model_max_length}
    else:
        own = {"eta": eta}
    images: list[Image.Image] = []
    while len(images) < count:
        made = pipeline(  # type: ignore[operator]  # every pipeline can be called
            prompt,
            num_images_per_prompt=min(batch_size, count - len(images)),
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            generator=generator,
            **own,
        )
        images += made.images
    return images
