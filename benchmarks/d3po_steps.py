"""How far one epoch of D3PO moves the model at each denoising step.

    python -m benchmarks.d3po_steps [--seed 3]

32 images of the rose, labelled without errors; all steps are trained, with the clip that is the
engine's default. Mean over the images of the log-ratio to the pretrained model's likelihood, next
to the deviation of the sampler's noise at that step. Writes `results/d3po_steps.md`.
"""

from __future__ import annotations

import argparse

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.cells import RESULTS
from benchmarks.jobs import command, console
from benchmarks.paper.cells import METHODS
from benchmarks.paper.table2 import AUTHORS_CLIP
from benchmarks.sheets import Sheet
from benchmarks.training import labels_of
from hero_engine.config import RunConfig
from hero_engine.methods import policy_gradient
from hero_engine.methods.d3po import D3po
from hero_engine.methods.trajectory import transitions_of
from hero_engine.presets import preset
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge

IMAGES = 32


def config_of(seed: int) -> RunConfig:
    """The settings that Table 2 has as D3PO with a clip of 0.1, with all steps trained."""
    settings = {**METHODS["d3po"], **AUTHORS_CLIP, "trained_steps": "all"}
    return preset("tiny", seed=seed, images_per_epoch=IMAGES, **settings)


def log_ratios(run: D3po) -> Float[Tensor, "image step"]:
    """log p / p_pretrained of the first epoch's own transitions, after it was learned from."""
    judge = Judge.load()
    label = labels_of(Annotator(run.config.prompt, seed=run.config.seed, judge=judge))
    batch = run.generate()
    run.learn(batch, label(run, batch))
    before = transitions_of(batch)
    after = policy_gradient.rescored(
        run.policy.denoiser(batch.prompt),
        run.schedule,
        before,
        [torch.arange(IMAGES)],
        run.settings.latents_at_once,
        run.policy.device,
    )
    return after.log_prob - before.log_prob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=3)
    run = D3po(config_of(parser.parse_args().seed))
    moved = log_ratios(run).mean(dim=0)
    table = Sheet(
        title=f"D3PO after {IMAGES} labels, seed {run.config.seed}: log-ratios by denoising step",
        header=["timestep", "deviation of the noise", "mean log-ratio"],
    )
    schedule = run.schedule
    for timestep, std, ratio in zip(schedule.timesteps, schedule.std, moved, strict=True):
        table.add(int(timestep), f"{std:.3f}", f"{ratio:.4f}")
    out = RESULTS / "d3po_steps.md"
    out.write_text(f"# {table.title}\n\n`{command('d3po_steps')}`\n\n{table.markdown()}")
    console().print(table.rich())


if __name__ == "__main__":
    main()
