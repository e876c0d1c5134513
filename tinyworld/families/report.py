"""`python -m tinyworld.families.report`: how often the two models succeed, and what they draw.

Writes `training.json`, a table of the README and a grid for each family.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tinyworld.bundled import PIPELINE_SD3, PIPELINE_SDXL
from tinyworld.families import sd3, sdxl
from tinyworld.families.drawing import GUIDANCE, draw, load_family
from tinyworld.families.material import FOLDER
from tinyworld.fitting import Plan, minutes_and_losses
from tinyworld.grid import grid
from tinyworld.judge import Judge
from tinyworld.report import README, SAMPLES, TRAINING, with_figures
from tinyworld.subjects import subjects

SAMPLED, STEPS, SHOWN = 200, 20, 8
COLOURS = 128
FAMILIES = {
    "sd3": ([sd3.PLAN, sd3.FURTHER], PIPELINE_SD3),
    "sdxl": ([sdxl.PLAN], PIPELINE_SDXL),
}
"""The trainings, one after another, and the pipeline that came of them."""


def measured(name: str, pipeline_folder: Path, seed: int) -> dict[str, float]:
    """Success of `SAMPLED` images by prompt; draws the grid of the first ones of each prompt."""
    judge, pipeline = Judge.load(), load_family(pipeline_folder)
    rates, shown = {}, []
    for subject in subjects().values():
        prompt = next(iter(subject.tasks))
        images = draw(pipeline, prompt, SAMPLED, steps=STEPS, seed=seed)
        rates[prompt] = round(sum(judge.success(images, prompt)) / SAMPLED, 3)
        shown += images[:SHOWN]
        print(f"{name}: {prompt}: {rates[prompt]}", flush=True)
    sheet = grid(shown, SHOWN).quantize(COLOURS)
    sheet.save(SAMPLES / f"family-{name}.png", optimize=True)
    return rates


def logged(folder: Path, plans: Sequence[Plan]) -> dict[str, Any]:
    """The records of those trainings whose logs are there, by stage."""
    return {
        plan.stage: {
            "batch_size": plan.batch_size,
            "learning_rate": plan.learning_rate,
            **minutes_and_losses(folder, plan.stage),
        }
        for plan in plans
        if (folder / f"{plan.stage}.jsonl").exists()
    }


def table(families: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["| model | steps x batch | minutes | loss by step | MB |", "| --- |" + " --- |" * 4]
    for name, found in families.items():
        for stage, training in found["trainings"].items():
            points = training["losses"]
            shown = [points[index] for index in (0, len(points) // 2, -1)]
            losses = ", ".join(f"{loss} ({step})" for step, loss in shown)
            model = f"`tiny-{name}`" if stage == name else "then"
            lines.append(
                f"| {model} | {training['steps']} x {training['batch_size']} | "
                f"{training['minutes']} | {losses} | {found['megabytes']} |"
            )
    lines += [
        "",
        f"| success of {SAMPLED} images, N(0, I), guidance {GUIDANCE:g}, eta 1, {STEPS} steps | "
        + " | ".join(f"`tiny-{name}`" for name in families)
        + " |",
        "| --- |" + " --- |" * len(families),
    ]
    for prompt in next(iter(families.values()))["success"]:
        rates = " | ".join(f"{found['success'][prompt]:.3f}" for found in families.values())
        lines.append(f"| `{prompt}` | {rates} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyworld.families.report", description=__doc__
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the training's logs")
    parser.add_argument("--family", choices=FAMILIES, action="append", help="only this one")
    said = parser.parse_args()
    torch.set_num_threads(1)
    figures = json.loads(TRAINING.read_text())
    families = figures.get("families", {})
    for name in said.family or FAMILIES:
        plans, pipeline_folder = FAMILIES[name]
        weights = pipeline_folder.rglob("*.safetensors")
        families[name] = {
            "trainings": {
                **families.get(name, {}).get("trainings", {}),
                **logged(said.folder, plans),
            },
            "megabytes": round(sum(file.stat().st_size for file in weights) / 1e6, 2),
            "measured_by": f"python -m tinyworld.families.report --seed {said.seed}",
            "sampled": {"images": SAMPLED, "steps": STEPS, "guidance": GUIDANCE, "eta": 1},
            "success": measured(name, pipeline_folder, said.seed),
        }
    figures["families"] = {name: families[name] for name in FAMILIES if name in families}
    TRAINING.write_text(json.dumps(figures, indent=1) + "\n")
    README.write_text(with_figures(README.read_text(), table(figures["families"]), "families"))


if __name__ == "__main__":
    main()
