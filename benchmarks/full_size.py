"""How long an epoch at Stable Diffusion 1.5's size takes on this GPU, and how much memory.

    python -m benchmarks.full_size [--images 64] [--steps 50] [--precision bf16] [--model FOLDER]

Without `--model` the networks have random weights: time and memory do not depend on what they are,
and the images are noise. Half of them are called good. The first batch has 4 images and warms up.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from benchmarks.cells import RESULTS
from benchmarks.jobs import command, console, device
from benchmarks.sheets import Sheet
from hero_engine.methods.base import Method
from hero_engine.presets import preset
from hero_engine.storage.batch import Batch, Feedback
from tinyworld.bundled import PIPELINE

UNET = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
TEXT: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
"""Stable Diffusion 1.5's; the vocabulary is the tiny model's."""


def write_model(folder: Path) -> None:
    """A pipeline of that size with random weights."""
    tokenizer = CLIPTokenizer.from_pretrained(PIPELINE, subfolder="tokenizer")
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=77,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **TEXT,
    )
    tokenizer.model_max_length = 77
    with torch.device("cuda"):
        networks = {
            "unet": UNet2DConditionModel(**UNET),
            "vae": AutoencoderKL(**VAE),
            "text_encoder": CLIPTextModel(text),
        }
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    without: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
    StableDiffusionPipeline(
        **networks,
        **without,
        tokenizer=tokenizer,
        scheduler=scheduler,
        requires_safety_checker=False,
    ).save_pretrained(folder)


@contextmanager
def measured(part: str, found: dict[str, dict[str, float]]) -> Iterator[None]:
    """Seconds and the peak of the GPU's memory, in GB, of the block."""
    torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    yield
    torch.cuda.synchronize()
    found[part] = {
        "seconds": time.perf_counter() - started,
        "gigabytes": torch.cuda.max_memory_allocated() / 1e9,
    }


def half_good(batch: Batch) -> Feedback:
    """Every second image, the first the best."""
    return Feedback(tuple(index % 2 == 0 for index in range(len(batch.images))), 0)


def epoch(fields: dict[str, Any], images: int) -> tuple[Method[Any], dict[str, Any]]:
    """One epoch of so many images, its parts and what was learned."""
    method = Method.create(preset("blue-rose", images_per_epoch=images, **fields))
    found: dict[str, dict[str, float]] = {}
    with measured("sampling and decoding", found):
        batch = method.generate()
    with measured("learning", found):
        report = method.learn(batch, half_good(batch))
    return method, {"parts": found, "seconds": report.seconds, "ratio_error": report.ratio_error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a pipeline's folder; else random weights")
    parser.add_argument("--images", type=int, default=64, help="images of the epoch")
    parser.add_argument("--steps", type=int, default=50, help="denoising steps of an image")
    parser.add_argument("--precision", choices=("no", "bf16", "fp16"), default="bf16")
    parser.add_argument("--out", type=Path, default=RESULTS / "full_size.json")
    said = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit(
            "torch finds no CUDA GPU here, and on a CPU an epoch of this size takes many hours; "
            "run this on the machine that is to train."
        )
    with tempfile.TemporaryDirectory() as folder:
        if not said.model:
            write_model(Path(folder))
        fields = {
            "model": said.model or folder,
            "num_inference_steps": said.steps,
            "mixed_precision": said.precision,
        }
        epoch(fields, 4)
        torch.cuda.empty_cache()
        method, figures = epoch(fields, said.images)
    settings = method.config.flat()
    del settings["model"]
    result = {
        "command": command("full_size"),
        "device": device(),
        "torch": torch.__version__,
        "random_weights": not said.model,
        **figures,
        "config": settings,
    }
    said.out.parent.mkdir(parents=True, exist_ok=True)
    said.out.write_text(json.dumps(result, indent=1) + "\n")
    table = Sheet(
        f"An epoch of {said.images} images at Stable Diffusion 1.5's size, {device()}",
        ["part", "seconds", "peak GB"],
    )
    for part, of in figures["parts"].items():
        table.add(part, f"{of['seconds']:.1f}", f"{of['gigabytes']:.1f}")
    screen = console()
    screen.print(table.rich())
    screen.print(
        "Of learning, "
        + ", ".join(f"{name} {of:.1f} s" for name, of in figures["seconds"].items())
        + f". The importance ratio began within {figures['ratio_error']:.0e} of 1."
    )
    screen.print(f"Written to {said.out}")


if __name__ == "__main__":
    main()
