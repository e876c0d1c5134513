"""`python -m tinyworld.words mountain --words viewed,train,window`: some words learned anew.

Only the embeddings of these words are trained, on the subject's captions that have them all, as
`tinyworld.subjects` writes them now. A prompt without them is drawn as before, to the last bit; so
the base rate of one task can be set without the others moving, and without what was measured on
them becoming old.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from jaxtyping import Float, Int
from rich.progress import track
from torch import Tensor

from tinyworld import world
from tinyworld.bundled import PIPELINE
from tinyworld.diffusion import DenoisingLoss
from tinyworld.generate import load_pipeline
from tinyworld.judge_training import encoded
from tinyworld.subjects import subjects
from tinyworld.text import padded_tokens

BATCH_SIZE = 64
LEARNING_RATE = 5e-3
"""At the first step; falls to zero in a line."""


@dataclass(frozen=True)
class Captioned:
    """Latents of scenes, and their captions' tokens."""

    latents: Float[Tensor, "count 4 16 16"]
    tokens: Int[Tensor, "count length"]


def token_ids(pipeline: StableDiffusionPipeline, words: Iterable[str]) -> list[int]:
    """The words' tokens. Raises `ValueError` for a word that is not one token."""
    vocabulary = pipeline.tokenizer.get_vocab()
    unknown = [word for word in words if f"{word}</w>" not in vocabulary]
    if unknown:
        raise ValueError(f"not words of the world: {', '.join(unknown)}")
    return [vocabulary[f"{word}</w>"] for word in words]


def captioned(
    pipeline: StableDiffusionPipeline, subject: str, words: Iterable[str], count: int, seed: int
) -> Captioned:
    """Of `count` scenes of a subject, those whose captions have all the words."""
    needed = set(words)
    found = [
        scene
        for scene in world.scenes_of(subject, count, seed)
        if needed <= set(scene.caption.split())
    ]
    if not found:
        raise ValueError(f"no caption of {subject} has all of: {', '.join(sorted(needed))}")
    images = np.stack([np.asarray(scene.image) for scene in found])
    captions = [scene.caption for scene in found]
    return Captioned(encoded(pipeline.vae, images), padded_tokens(pipeline.tokenizer, captions))


def train(
    pipeline: StableDiffusionPipeline, ids: list[int], data: Captioned, steps: int, seed: int
) -> None:
    """Changes these rows of the text encoder's token embedding, and nothing else."""
    unet, text_encoder = pipeline.unet, pipeline.text_encoder
    unet.requires_grad_(False)
    text_encoder.requires_grad_(False)
    table = text_encoder.get_input_embeddings().weight
    before = table.detach().clone()
    others = torch.ones(len(table), dtype=torch.bool)
    others[ids] = False
    empty = padded_tokens(pipeline.tokenizer, [""])[0]
    loss = DenoisingLoss(data.latents, data.tokens, empty, text_encoder, unet)
    table.requires_grad_(True)
    optimizer = torch.optim.Adam([table], lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(seed)
    for step in track(range(steps), "training"):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / steps)
        rows = torch.randint(len(data.latents), (BATCH_SIZE,), generator=generator)
        optimizer.zero_grad()
        loss(rows, generator).backward()
        optimizer.step()
        with torch.no_grad():
            table[others] = before[others]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tinyworld.words", description=__doc__)
    parser.add_argument("subject", choices=subjects())
    parser.add_argument("--words", required=True, help="comma-separated")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--scenes", type=int, default=6000, help="scenes that are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pipeline", type=Path, default=PIPELINE, help="the model to change")
    said = parser.parse_args()
    words = said.words.split(",")
    torch.manual_seed(said.seed)
    pipeline = load_pipeline(said.pipeline)
    try:
        ids = token_ids(pipeline, words)
        data = captioned(pipeline, said.subject, words, said.scenes, said.seed)
    except ValueError as error:
        parser.error(str(error))
    train(pipeline, ids, data, said.steps, said.seed)
    pipeline.text_encoder.to(torch.float16).save_pretrained(said.pipeline / "text_encoder")


if __name__ == "__main__":
    main()
