"""Pipelines of the true size of models that people use, with random weights: time and memory do not
depend on what the weights are, and the images are noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from transformers import AutoTokenizer

from benchmarks.memory_sizes import MODELS, VAE
from tinyworld.bundled import PIPELINE, PIPELINE_SD3


def write_model(folder: Path, name: str, made_on: str, dtype: torch.dtype) -> None:
    """One of `MODELS`, made on a device and stored as those numbers, with the bundled models'
    tokenizers."""
    model, usual = MODELS[name], torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(made_on):
            network, encoders = model.network(), [build() for build in model.encoders]
            vae = AutoencoderKL(
                latent_channels=model.channels,
                sample_size=model.pixels,
                scaling_factor=model.scaling_factor,
                **VAE,
            )
    finally:
        torch.set_default_dtype(usual)
    pipe = _pipeline(name, network, encoders, vae)
    pipe.save_pretrained(folder)


def _pipeline(name: str, network: Any, encoders: list[Any], vae: Any) -> Any:
    clip = [_clip_tokenizer(encoder) for encoder in encoders]
    if name == "SD 1.5":
        without: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
        return StableDiffusionPipeline(
            unet=network,
            vae=vae,
            text_encoder=encoders[0],
            tokenizer=clip[0],
            scheduler=_ddim(),
            requires_safety_checker=False,
            **without,
        )
    if name == "SDXL":
        return StableDiffusionXLPipeline(
            unet=network,
            vae=vae,
            text_encoder=encoders[0],
            text_encoder_2=encoders[1],
            tokenizer=clip[0],
            tokenizer_2=clip[1],
            scheduler=_ddim(),
            add_watermarker=False,
        )
    t5: Any = AutoTokenizer.from_pretrained(PIPELINE_SD3, subfolder="tokenizer_3")
    if name == "SD 3.5 medium":
        return StableDiffusion3Pipeline(
            transformer=network,
            vae=vae,
            text_encoder=encoders[0],
            text_encoder_2=encoders[1],
            text_encoder_3=encoders[2],
            tokenizer=clip[0],
            tokenizer_2=clip[1],
            tokenizer_3=t5,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        )
    return FluxPipeline(
        transformer=network,
        vae=vae,
        text_encoder=encoders[0],
        text_encoder_2=encoders[1],
        tokenizer=clip[0],
        tokenizer_2=t5,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    )


def _clip_tokenizer(encoder: Any) -> Any:
    """The bundled model's, whose tokens a larger vocabulary has room for."""
    tokenizer = AutoTokenizer.from_pretrained(PIPELINE, subfolder="tokenizer")
    tokenizer.model_max_length = 77
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(encoder.config, key, getattr(tokenizer, key))
    return tokenizer


def _ddim() -> Any:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
