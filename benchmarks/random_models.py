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
from transformers import AutoTokenizer, T5EncoderModel

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
    t5 = AutoTokenizer.from_pretrained(PIPELINE_SD3, subfolder="tokenizer_3")
    parts = {"vae": vae}
    for end, encoder in zip(("", "_2", "_3"), encoders, strict=False):
        reads = t5 if isinstance(encoder, T5EncoderModel) else _clip_tokenizer(encoder)
        parts |= {f"text_encoder{end}": encoder, f"tokenizer{end}": reads}
    if name == "SD 1.5":
        without: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
        parts |= {"unet": network, "scheduler": _ddim(), **without}
        return StableDiffusionPipeline(**parts, requires_safety_checker=False)
    if name == "SDXL":
        parts |= {"unet": network, "scheduler": _ddim()}
        return StableDiffusionXLPipeline(**parts, add_watermarker=False)
    if name == "SD 3.5 medium":
        parts |= {"transformer": network, "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0)}
        return StableDiffusion3Pipeline(**parts)
    dynamic = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    return FluxPipeline(**parts, transformer=network, scheduler=dynamic)


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
