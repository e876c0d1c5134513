"""`python -m tinyworld.train`: everything under `tinyworld/pipeline` and the judge, on the CPU.

Stages, in order: `autoencoder`, `judge`, `diffusion`, `report`. Each resumes where it was stopped
and is skipped when it is done; `--folder` holds the renders and checkpoints. When the world has
grown, `--grown-from tinyworld/pipeline` begins with the trained weights and takes half as long.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from tinyworld import autoencoder, diffusion, judge_training, report
from tinyworld.bundled import JUDGE, PIPELINE
from tinyworld.data import Rendered, rendered
from tinyworld.fitting import in_ranks

FOLDER = Path(".hero/tinyworld")
IMAGES = 40_000


def latents(folder: Path, data: Rendered) -> None:
    """Writes `folder/latents.pt` where it is missing."""
    target = folder / "latents.pt"
    if not target.exists():
        trained = AutoencoderKL.from_pretrained(folder / "vae")
        torch.save(diffusion.encode(trained, data), target)


def train_autoencoder(folder: Path, data: Rendered, seed: int, grown_from: Path | None) -> None:
    """Writes `folder/vae` and `folder/latents.pt`."""
    in_ranks(autoencoder.train, folder, len(data.images), seed, grown_from)
    latents(folder, data)


def train_judge(folder: Path, data: Rendered, seed: int, grown_from: Path | None) -> None:
    """Writes the bundled judge, which always begins anew."""
    latents(folder, data)
    if not (folder / "material.pt").exists():
        judge_training.prepare(folder, data, seed)
    in_ranks(judge_training.train, folder, seed, JUDGE)


def train_diffusion(folder: Path, data: Rendered, seed: int, grown_from: Path | None) -> None:
    """Writes the bundled pipeline."""
    latents(folder, data)
    in_ranks(diffusion.train, folder, len(data.images), seed, PIPELINE, grown_from)


def write_report(folder: Path, data: Rendered, seed: int, grown_from: Path | None) -> None:
    """Writes the figures of `tinyworld.report`."""
    report.write(folder, seed, grown=grown_from is not None)


STAGES: dict[str, Callable[[Path, Rendered, int, Path | None], None]] = {
    "autoencoder": train_autoencoder,
    "judge": train_judge,
    "diffusion": train_diffusion,
    "report": write_report,
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tinyworld.train", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="renders and checkpoints")
    parser.add_argument(
        "--grown-from", type=Path, help="a trained pipeline's folder, whose weights to begin with"
    )
    parser.add_argument(
        "--stage", choices=STAGES, action="append", help="only this stage; may be repeated"
    )
    arguments = parser.parse_args()
    trained = arguments.grown_from
    if trained is not None and not (trained / "model_index.json").exists():
        parser.error(f"--grown-from: there is no pipeline in {trained}")
    data = rendered(arguments.folder, IMAGES, arguments.seed)
    for stage in arguments.stage or STAGES:
        began = time.monotonic()
        print(f"{stage} ...", flush=True)
        STAGES[stage](arguments.folder, data, arguments.seed, trained)
        print(f"{stage}: {(time.monotonic() - began) / 60:.1f} min", flush=True)


if __name__ == "__main__":
    main()
