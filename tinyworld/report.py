"""Measures what was trained, and writes `training.json`, the README's figures and the grids."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL

from tinyworld import autoencoder, diffusion, judge_training
from tinyworld.bundled import JUDGE, PIPELINE
from tinyworld.data import rendered, to_tensor
from tinyworld.fitting import RANKS, minutes_and_losses
from tinyworld.generate import generate, load_pipeline
from tinyworld.grid import grid
from tinyworld.judge import Judge
from tinyworld.judge_training import HELD_OUT, accuracy, decoded, encoded
from tinyworld.subjects import subjects
from tinyworld.world import scenes

HERE = Path(__file__).parent
TRAINING, README, SAMPLES = HERE / "training.json", HERE / "README.md", HERE / "samples"
STEPS = (20, 50)
SAMPLED = 400


def write(folder: Path, seed: int, *, grown: bool) -> None:
    """Measures and writes everything; takes some minutes. `grown`: the training began with trained
    weights."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    judge, pipeline = Judge.load(), load_pipeline()
    plans = [autoencoder.PLAN, judge_training.PLAN, diffusion.PLAN]
    command = f"python -m tinyworld.train --seed {seed}"
    if grown:
        plans = [plan.after_growth() if plan.steps_after_growth else plan for plan in plans]
        command += " --grown-from tinyworld/pipeline"
    figures = {
        "command": command,
        "seed": seed,
        "ranks": RANKS,
        "stages": {
            plan.stage: {
                "batch_size": plan.batch_size,
                "learning_rate": plan.learning_rate,
                **minutes_and_losses(folder, plan.stage),
            }
            for plan in plans
        },
        "megabytes": round(megabytes(), 2),
        "autoencoder_psnr": round(psnr(pipeline.vae, seed + HELD_OUT), 2),
        "judge": judged(judge, pipeline.vae, folder, seed),
        "success": success(),
    }
    if TRAINING.exists():
        figures["families"] = json.loads(TRAINING.read_text()).get("families", {})
    TRAINING.write_text(json.dumps(figures, indent=1) + "\n")
    SAMPLES.mkdir(exist_ok=True)
    world = [scene.image for scene in scenes(40, seed + HELD_OUT)]
    grid(world, 10).save(SAMPLES / "world.png", optimize=True)
    README.write_text(with_figures(README.read_text(), table(figures)))


def megabytes() -> float:
    """Size of all bundled weights."""
    files = [JUDGE, *PIPELINE.rglob("*.safetensors")]
    return sum(file.stat().st_size for file in files) / 1e6


@torch.no_grad()
def psnr(vae: AutoencoderKL, seed: int, count: int = 256) -> float:
    """Peak signal-to-noise ratio of held-out renders through the autoencoder, in decibels."""
    images = np.stack([np.asarray(scene.image) for scene in scenes(count, seed)])
    through = to_tensor(decoded(vae, encoded(vae, images)))
    error = (through - to_tensor(images)).square().mean().item()
    return float(10 * np.log10(4 / error))


def judged(judge: Judge, vae: AutoencoderKL, folder: Path, seed: int) -> dict[str, float]:
    """The judge's accuracy on 2,000 held-out renders through the autoencoder, by head, and the
    share of flawed renders that it calls unclean."""
    held_out = [
        (scene.subject, scene.attributes, scene.image) for scene in scenes(2000, seed + HELD_OUT)
    ]
    shares = accuracy(judge, vae, held_out)
    flawed = rendered(folder, 1000, seed + HELD_OUT, flawed=True)
    seen = judge(to_tensor(decoded(vae, encoded(vae, np.array(flawed.images)))))["clean"]
    unclean = seen.argmax(1) == 0
    for subject in subjects():
        own = torch.tensor([name == subject for name in flawed.subjects])
        shares[f"flawed {subject} found"] = unclean[own].float().mean().item()
    return {name: round(share, 4) for name, share in shares.items()}


def success() -> dict[str, dict[str, float]]:
    """Success of `SAMPLED` images from N(0, I) at guidance 3, eta 1, for the first task of every
    subject, by DDIM steps; writes a grid of the first 40 of each prompt."""
    SAMPLES.mkdir(exist_ok=True)
    prompts = [next(iter(subject.tasks)) for subject in subjects().values()]
    wanted = [(prompt, steps) for steps in reversed(STEPS) for prompt in prompts]
    with ProcessPoolExecutor(RANKS, get_context("spawn")) as pool:
        rates = list(pool.map(_success, *zip(*wanted, strict=True)))
    found: dict[str, dict[str, float]] = {prompt: {} for prompt in prompts}
    for (prompt, steps), rate in zip(wanted, rates, strict=True):
        found[prompt][str(steps)] = rate
    return found


def _success(prompt: str, steps: int) -> float:
    torch.set_num_threads(1)
    images = generate(load_pipeline(), prompt, SAMPLED, steps=steps, seed=1)
    if steps == max(STEPS):
        name = prompt.replace(" ", "-")
        grid(images[:40], 10).save(SAMPLES / f"{name}.png", optimize=True)
    return round(sum(Judge.load().success(images, prompt)) / SAMPLED, 3)


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"`{figures['command']}` on {figures['ranks']} single-thread processes; "
        f"{figures['megabytes']} MB of weights in all.",
        "",
        "| stage | steps x batch | peak learning rate | minutes | loss by step |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, stage in figures["stages"].items():
        shown = [stage["losses"][index] for index in (0, len(stage["losses"]) // 2, -1)]
        losses = ", ".join(f"{loss} ({step})" for step, loss in shown)
        lines.append(
            f"| {name} | {stage['steps']} x {stage['batch_size']} | {stage['learning_rate']} | "
            f"{stage['minutes']} | {losses} |"
        )
    lines += [
        "",
        f"The autoencoder's PSNR on held-out renders is {figures['autoencoder_psnr']} dB.",
        "",
        "| judge, on held-out renders through the autoencoder | share right |",
        "| --- | --- |",
        *(f"| {name} | {share:.1%} |" for name, share in figures["judge"].items()),
        "",
        f"| success of {SAMPLED} images, N(0, I), guidance 3, eta 1 | "
        + " | ".join(f"{steps} steps" for steps in STEPS)
        + " |",
        "| --- |" + " --- |" * len(STEPS),
        *(
            f"| `{prompt}` | " + " | ".join(f"{rates[str(steps)]:.3f}" for steps in STEPS) + " |"
            for prompt, rates in figures["success"].items()
        ),
    ]
    return "\n".join(lines)


def with_figures(readme: str, figures: str, place: str = "figures") -> str:
    """The README with what stands between the marks of this place replaced."""
    begin, end = f"<!-- {place}: begin -->", f"<!-- {place}: end -->"
    before, rest = readme.split(begin)
    return f"{before}{begin}\n{figures}\n{rest[rest.index(end) :]}"
