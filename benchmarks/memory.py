"""What a model takes of memory: measured at Stable Diffusion 1.5's size, counted for others.

    python -m benchmarks.memory [--counted-only]

Measured: random weights of that size on the CPU; two images of two steps, and one update with K = 1
and one pair at a time, for memory high and low. It takes some twenty minutes and 12 GB of memory.
The peak is of resident memory, from which what Python and its libraries take is subtracted; while
a model is loaded, only of what is allocated, without the pages of its file that happen to be there.

Counted: weights by their number, a LoRA of rank 4 with its optimizer, and what the backward pass of
one pair keeps, with the network built on torch's meta device, which has shapes and no memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.cells import RESULTS
from benchmarks.full_size import half_good
from benchmarks.jobs import command, console, device
from benchmarks.memory_sizes import MODELS, Counted, Model, activations, count
from benchmarks.random_models import write_model
from benchmarks.resident import resident, restart_peak
from benchmarks.sheets import Sheet
from hero_engine.methods.base import Method
from hero_engine.models.memory import LEVELS, Level
from hero_engine.presets import preset

LEAN_BYTES: dict[Level, float] = {"low": 2.0, "8-bit": 1.0, "4-bit": 0.56}
SETTINGS: dict[str, Any] = {
    "images_per_epoch": 2,
    "num_inference_steps": 2,
    "trained_steps": 1,
    "sample_batch_size": 1,
    "forward_batch_size": 1,
    "minibatch_size": 2,
    "embedding_steps": 1,
}
LORA_BYTES = 16
"""Of one parameter of the LoRA: itself, its gradient, and AdamW's two moments."""


@contextmanager
def allocated_peak(part: str, found: dict[str, float]) -> Iterator[None]:
    """The most that is allocated in the block beyond what was before, in GB, looked at every few
    milliseconds."""
    before, over = resident("RssAnon"), threading.Event()
    seen = [before]

    def watch() -> None:
        while not over.wait(0.005):
            seen.append(resident("RssAnon"))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
    found[part] = (max(*seen, resident("RssAnon")) - before) / 1e9


@contextmanager
def peak(part: str, found: dict[str, float], before: int) -> Iterator[None]:
    """The most resident memory in the block beyond `before`, in GB."""
    restart_peak()
    yield
    found[part] = (resident("VmHWM") - before) / 1e9


def measure(folder: Path, level: Level) -> dict[str, float]:
    """The peaks of one level's loading, drawing and learning, in GB; in a process of its own."""
    Method.create(preset("tiny", method="hero"))  # so that all libraries are there
    gc.collect()
    found: dict[str, float] = {}
    before = resident("VmRSS")
    config = preset("blue-rose", model=str(folder), memory=level, **SETTINGS)
    with allocated_peak("loading", found):
        method = Method.create(config)
    with peak("sampling and decoding", found, before):
        batch = method.generate()
    with peak("learning", found, before):
        report = method.learn(batch, half_good(batch))
    if report.ratio_error is None or report.ratio_error > 1e-5:
        raise SystemExit(f"The importance ratio did not begin at 1: {report.ratio_error}.")
    return found


def measured() -> dict[str, dict[str, float]]:
    """Both levels' peaks, each in a process of its own."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), "SD 1.5", "cpu", torch.float32)
        gc.collect()
        for level in ("high", "low"):
            asked = [sys.executable, "-m", "benchmarks.memory", "--measure", level]
            done = subprocess.run([*asked, folder], stdout=subprocess.PIPE, text=True, check=True)
            found[level] = json.loads(done.stdout.splitlines()[-1])
    return found


def counted(model: Model, pixels: int) -> dict[str, Any]:
    """GB that a run takes of the device, by level, and of what they are the sum."""
    size, latents = count(model), 2 if model.guided else 1
    keeps = {lean: latents * activations(model, pixels, lean=lean) for lean in (False, True)}
    parts = {level: _parts(level, size, keeps[level != "high"]) for level in LEVELS}
    return {
        "parameters": vars(size),
        "gigabytes": {
            level: {
                **{name: of / 1e9 for name, of in each.items()},
                "sum": sum(each.values()) / 1e9,
            }
            for level, each in parts.items()
        },
    }


def _parts(level: Level, size: Counted, keeps: int) -> dict[str, float]:
    return {
        "network": LEAN_BYTES.get(level, 4.0) * size.network,
        "text encoders": 4.0 * size.encoders if level == "high" else 0.0,
        "vae": 4.0 * size.vae,
        "lora": float(LORA_BYTES * size.lora),
        "activations of a pair": float(keeps),
    }


def measured_sheet(found: dict[str, dict[str, float]]) -> Sheet:
    parts = ["sampling and decoding", "learning"]
    sheet = Sheet(
        "Measured on a CPU: peak GB at Stable Diffusion 1.5's size, 512 px", ["memory", *parts]
    )
    for level, of in found.items():
        sheet.add(level, *(f"{of[part]:.1f}" for part in parts))
    return sheet


def counted_sheet(found: dict[str, dict[str, Any]]) -> Sheet:
    sheet = Sheet(
        "Counted, not measured: GB of the device that a run takes, one pair at a time",
        ["model", *LEVELS, "of low: weights", "activations"],
    )
    for name, of in found.items():
        gigabytes = of["gigabytes"]
        low = gigabytes["low"]
        keeps = low["activations of a pair"]
        sums = [f"{gigabytes[level]['sum']:.1f}" for level in LEVELS]
        sheet.add(name, *sums, f"{low['sum'] - keeps:.1f}", f"{keeps:.1f}")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counted-only", action="store_true", help="leave out what is measured")
    parser.add_argument("--measure", nargs=2, metavar=("LEVEL", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS / "memory.json")
    said = parser.parse_args()
    if said.measure:
        print(json.dumps(measure(Path(said.measure[1]), said.measure[0])))
        return
    known = json.loads(said.out.read_text()) if said.out.exists() else {}
    sizes = {
        f"{name}, {px} px": (model, px) for name, model in MODELS.items() for px in (512, 1024)
    }
    result: dict[str, Any] = {
        "command": command("memory"),
        "device": device(),
        "torch": torch.__version__,
        "config": SETTINGS,
        "counted": {name: counted(*of) for name, of in sizes.items()},
        "measured": known.get("measured", {}) if said.counted_only else measured(),
    }
    said.out.write_text(json.dumps(result, indent=1) + "\n")
    sheets = [measured_sheet(result["measured"]), counted_sheet(result["counted"])]
    said.out.with_suffix(".md").write_text(
        "\n".join(f"{sheet.title}\n\n{sheet.markdown()}" for sheet in sheets)
    )
    for sheet in sheets:
        console().print(sheet.rich())


if __name__ == "__main__":
    main()
