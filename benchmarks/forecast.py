"""Whether what `hero start` says beforehand comes true: its forecast beside an epoch that was made.

    python -m benchmarks.forecast [--model FOLDER]

Trial and epochs each run in a process of their own. Every second image is called good, and the
second epoch counts: in the first one hero+ has few good images, and so fewer steps. Memory is the
largest that the process had. What counts are the ratios: seconds are those of this machine as it
was, and where it is not idle both are inexact.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.cells import RESULTS
from benchmarks.full_size import half_good
from benchmarks.jobs import command, console, device
from benchmarks.resident import peak
from benchmarks.sheets import Sheet
from hero_engine.config import RunConfig
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from hero_engine.presets import preset
from hero_engine.trial.try_out import try_out

GIGABYTE = 2**30
PROMPT = "photo of one blue rose in a vase"


def tried(config: RunConfig) -> dict[str, Any]:
    """The forecast, how long it took to make, and the configuration that it decided on."""
    started = time.perf_counter()
    decided, forecast = try_out(config)
    return {
        **forecast.to_dict(),
        "trial_seconds": time.perf_counter() - started,
        "config": decided.flat(),
    }


def made(fields: dict[str, Any]) -> dict[str, float]:
    """Seconds of the second epoch, and the process's largest memory."""
    method = Method.create(make_config(**fields))
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        batch = method.generate()
        drawn = time.perf_counter()
        method.learn(batch, half_good(batch))
        seconds = [drawn - started, time.perf_counter() - drawn]
    return {
        "drawing_seconds": seconds[0],
        "learning_seconds": seconds[1],
        "peak_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else peak(),
    }


def runs(model: str | None) -> dict[str, RunConfig]:
    """What is forecast, by name: the bundled model with its preset and with the usual settings, or
    another model."""
    if model:
        return {m: make_config(model=model, method=m, prompt=PROMPT) for m in ("hero", "hero+")}
    return {
        "hero+, preset tiny": preset("tiny"),
        "hero, preset tiny, 32 images": preset("tiny", method="hero", images_per_epoch=32),
        "hero, no preset, 16 images": make_config(model="tiny", prompt=PROMPT, images_per_epoch=16),
    }


def in_a_process(work: Any, *arguments: Any) -> Any:
    """What a fresh process makes of it."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(work, *arguments).result()


def table(rows: dict[str, dict[str, Any]]) -> Sheet:
    """Each run: the forecast, what came, and their ratio."""
    sheet = Sheet(
        f"An epoch as forecast and as it was, {device()}",
        ["run", "at once", "trial s", "forecast s", "epoch s", "forecast / epoch", "GB", "GB was"],
    )
    for name, row in rows.items():
        said, came = row["forecast"], row["epoch"]
        forecast, epoch = (
            each["drawing_seconds"] + each["learning_seconds"] for each in (said, came)
        )
        sheet.add(
            name,
            f"{said['images_at_once']} / {said['latents_at_once']}",
            f"{said['trial_seconds']:.1f}",
            f"{said['drawing_seconds']:.1f} + {said['learning_seconds']:.1f}",
            f"{came['drawing_seconds']:.1f} + {came['learning_seconds']:.1f}",
            f"{forecast / epoch:.2f}",
            f"{said['peak_bytes'] / GIGABYTE:.2f}",
            f"{came['peak_bytes'] / GIGABYTE:.2f}",
        )
    return sheet


def write(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """The figures, and the table as a page."""
    result = {
        "command": command("forecast"),
        "device": device(),
        "torch": torch.__version__,
        "runs": rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    sheet = table(rows)
    page = f"# {sheet.title}\n\n`{result['command']}`\n\n{sheet.markdown()}"
    path.with_suffix(".md").write_text(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a pipeline's folder or hub id; else the bundled model")
    parser.add_argument("--out", type=Path, default=RESULTS / "forecast.json")
    said = parser.parse_args()
    screen = console()
    rows: dict[str, dict[str, Any]] = {}
    for name, config in runs(said.model).items():
        forecast = in_a_process(tried, config)
        rows[name] = {"forecast": forecast, "epoch": in_a_process(made, forecast["config"])}
        write(rows, said.out)
        screen.print(f"{name}: done", markup=False)
    sheet = table(rows)
    screen.print(sheet.rich())
    screen.print(f"Written to {said.out}")


if __name__ == "__main__":
    main()
