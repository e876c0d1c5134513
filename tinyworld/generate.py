"""Sampling from the bundled pipeline with diffusers alone."""

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging
from PIL import Image

from tinyworld.bundled import PIPELINE


def load_pipeline(path: Path = PIPELINE) -> StableDiffusionPipeline:
    """The pipeline in single precision, without a progress bar."""
    logging.disable_progress_bar()
    pipeline = StableDiffusionPipeline.from_pretrained(path, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: StableDiffusionPipeline,
    prompt: str,
    count: int,
    *,
    steps: int = 50,
    guidance_scale: float = 3.0,
    eta: float = 1.0,
    seed: int = 0,
    batch_size: int = 64,
) -> list[Image.Image]:
    """`count` images of the prompt from N(0, I) noise; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    images: list[Image.Image] = []
    while len(images) < count:
        made = pipeline(
            prompt,
            num_images_per_prompt=min(batch_size, count - len(images)),
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            eta=eta,
            generator=generator,
        )
        images += made.images
    return images
