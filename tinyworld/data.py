"""Rendered worlds as arrays, cached on disk."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from tinyworld import world
from tinyworld.subject import Attributes

CHUNK = 1000


@dataclass(frozen=True)
class Rendered:
    """`images` is read from disk as it is used; the rest is one entry an image."""

    seed: int
    images: UInt8[NDArray[np.uint8], "count 64 64 3"]
    subjects: list[str]
    attributes: list[Attributes]

    def captions(self) -> list[str]:
        """The world's captions, made anew: they follow the captions' code, not the cache."""
        pairs = enumerate(zip(self.subjects, self.attributes, strict=True))
        return [world.caption(name, values, self.seed, index) for index, (name, values) in pairs]

    def batch(self, indices: Int[Tensor, " batch"]) -> Float[Tensor, "batch 3 64 64"]:
        """Images in [-1, 1]."""
        return to_tensor(self.images[indices.numpy()])


def to_tensor(images: UInt8[NDArray[np.uint8], "batch 64 64 3"]) -> Float[Tensor, "batch 3 64 64"]:
    """Bytes to [-1, 1], channels first."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(images: Float[Tensor, "batch 3 64 64"]) -> UInt8[NDArray[np.uint8], "batch 64 64 3"]:
    """The inverse of `to_tensor`, rounded and clamped."""
    return ((images + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def rendered(folder: Path, count: int, seed: int, flawed: bool = False) -> Rendered:
    """The first `count` scenes (a multiple of 1,000) of the world `seed`, drawn once."""
    stem = folder / f"world-{seed}-{count}{'-flawed' if flawed else ''}"
    images, labels = stem.with_suffix(".npy"), stem.with_suffix(".json")
    if not labels.exists():
        folder.mkdir(parents=True, exist_ok=True)
        starts = range(0, count, CHUNK)
        with ProcessPoolExecutor(2) as pool:
            parts = list(pool.map(_chunk, [seed] * len(starts), starts, [flawed] * len(starts)))
        np.save(images, np.concatenate([part[0] for part in parts]))
        labels.write_text(json.dumps([label for part in parts for label in part[1]]))
    entries = json.loads(labels.read_text())
    return Rendered(
        seed,
        np.load(images, mmap_mode="r"),
        [name for name, _ in entries],
        [values for _, values in entries],
    )


def _chunk(
    seed: int, start: int, flawed: bool
) -> tuple[NDArray[np.uint8], list[tuple[str, Attributes]]]:
    scenes = list(world.scenes(CHUNK, seed, start, flawed))
    images = np.stack([np.asarray(scene.image) for scene in scenes])
    return images, [(scene.subject, scene.attributes) for scene in scenes]
