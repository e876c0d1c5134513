"""The same fresh noises before and after: the pretrained model, HERO and hero+, as a picture.

    python -m benchmarks.side_by_side

For the rose and the hand it trains the tiny model by both methods, labelled by a simulated
annotator without errors, and draws all three models' images from the same N(0, I), none picked.
Writes `docs/learned-<task>.png`; finished runs are kept, so it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from benchmarks import fingerprint
from benchmarks.cells import RESULTS
from benchmarks.jobs import Job, console, run_jobs
from benchmarks.kept_runs import KeptRuns, Row
from benchmarks.paper.cells import METHODS as SETTINGS
from benchmarks.paper.cells import TASKS
from benchmarks.training import OnStage, labels_of
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from hero_engine.presets import preset
from tinyworld.annotator import Annotator
from tinyworld.grid import grid
from tinyworld.judge import Judge

DOCS = Path(__file__).parent.parent / "docs"
METHODS = {"pretrained": ("hero", 0), "HERO": ("hero", 8), "hero+": ("hero+", 4)}
"""What a row is called -> what learned, and in how many epochs."""
IMAGES, COLUMNS = 100, 12
NOISE_SEED = 60_000
LABEL_WIDTH, MARGIN, FONT_SIZE = 130, 8, 15


def work(spec: dict[str, Any], on_stage: OnStage) -> Row:
    """One model's success on `IMAGES` fresh images, and the first of them."""
    config, judge = make_config(**spec["config"]), Judge.load()
    label = labels_of(Annotator(config.prompt, seed=config.seed, judge=judge))
    method = Method.create(config)
    while method.epoch < spec["epochs"]:
        batch = method.generate()
        method.learn(batch, label(method, batch))
        on_stage(f"epoch {method.epoch}")
    images = method.sample(spec["images"], seed=NOISE_SEED + config.seed).images
    success = judge.success(images, config.prompt)
    on_stage("images")
    strip = io.BytesIO()
    grid(images[:COLUMNS], COLUMNS).save(strip, "png")
    return {
        "labels": method.epoch * config.images_per_epoch,
        "success": sum(success) / len(success),
        "png": base64.b64encode(strip.getvalue()).decode(),
    }


def jobs(tasks: Sequence[str], seed: int) -> dict[tuple[str, str], Job]:
    """By task and row."""
    found, kept = {}, KeptRuns.beside(RESULTS / "side_by_side.json")
    for task in tasks:
        for name, (method, epochs) in METHODS.items():
            config = preset("tiny", prompt=TASKS[task], seed=seed, **SETTINGS[method])
            spec = {
                "weights": fingerprint.tiny(config.prompt),
                "config": config.flat(),
                "epochs": epochs,
                "images": IMAGES,
            }
            found[task, name] = Job(f"{task}, {name}", spec, kept, epochs + 1)
    return found


def picture(rows: dict[str, Row]) -> Image.Image:
    """A strip a model, named on its left."""
    strips = {
        name: Image.open(io.BytesIO(base64.b64decode(row["png"]))) for name, row in rows.items()
    }
    width, height = next(iter(strips.values())).size
    sheet = Image.new("RGB", (LABEL_WIDTH + width, (height + 6) * len(rows) - 6), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for number, (name, strip) in enumerate(strips.items()):
        top = number * (height + 6)
        sheet.paste(strip, (LABEL_WIDTH, top))
        told = [name, f"{rows[name]['labels']} labels", f"{rows[name]['success']:.0%} good"]
        for line, text in enumerate(told):
            draw.text((MARGIN, top + 4 + line * (FONT_SIZE + 4)), text, "black", font)
    return sheet


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", default="blue-rose,hand", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, one a core")
    said = parser.parse_args()
    tasks = said.tasks.split(",")
    if unknown := [task for task in tasks if task not in TASKS]:
        parser.error(f"--tasks: there is no {', '.join(unknown)}; choose of {', '.join(TASKS)}")
    planned, screen = jobs(tasks, said.seed), console()
    rows = dict(
        zip(planned, run_jobs(list(planned.values()), work, said.jobs, screen), strict=True)
    )
    for task in tasks:
        out = DOCS / f"learned-{task}.png"
        picture({name: rows[task, name] for name in METHODS}).save(out, optimize=True)
        screen.print(f"Written: {out}")


if __name__ == "__main__":
    main()
