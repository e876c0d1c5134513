"""How long an epoch of a model takes on this GPU, and how much memory.

    python -m benchmarks.full_size [--size SDXL | --model FOLDER] [--pixels 512] [--memory low]
                                   [--images 64] [--steps 50] [--precision bf16]

Without `--model` the networks have random weights of the size of SD 1.5, or another model's: time
and memory do not depend on what they are, and the images are noise. Half of them are called good.
The first batch has 4 images and warms up. Results of several calls come together in one file.
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

from benchmarks.cells import RESULTS
from benchmarks.jobs import command, console, device
from benchmarks.memory_sizes import MODELS
from benchmarks.random_models import write_model
from benchmarks.sheets import Sheet
from hero_engine.methods.base import Method
from hero_engine.models.memory import LEVELS
from hero_engine.presets import preset
from hero_engine.storage.batch import Batch, Feedback


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
    parser.add_argument("--size", choices=MODELS, default="SD 1.5", help="of random weights")
    parser.add_argument("--model", help="a pipeline's folder; else random weights")
    parser.add_argument("--pixels", type=int, help="side of the images; else the model's own")
    parser.add_argument("--memory", choices=("auto", *LEVELS), default="auto")
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
            kind = torch.float32 if said.size == "SD 1.5" else torch.bfloat16
            write_model(Path(folder), said.size, "cpu", kind)
        fields = {
            "model": said.model or folder,
            "height": said.pixels,
            "width": said.pixels,
            "memory": said.memory,
            "num_inference_steps": said.steps,
            "mixed_precision": said.precision,
        }
        epoch(fields, 4)
        torch.cuda.empty_cache()
        method, figures = epoch(fields, said.images)
    settings = {**method.config.flat(), "memory": method.policy.memory.level}
    del settings["model"]
    size = said.model or said.size
    name = f"{size}, {said.pixels or 'own'} px, memory {settings['memory']}, {device()}"
    known = json.loads(said.out.read_text()) if said.out.exists() else {}
    known[name] = {
        "command": command("full_size"),
        "device": device(),
        "torch": torch.__version__,
        "random_weights": not said.model,
        **figures,
        "config": settings,
    }
    said.out.parent.mkdir(parents=True, exist_ok=True)
    said.out.write_text(json.dumps(known, indent=1) + "\n")
    table = Sheet(f"An epoch of {said.images} images: {name}", ["part", "seconds", "peak GB"])
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
