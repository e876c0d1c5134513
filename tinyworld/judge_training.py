"""What the judge learns from, how it is trained, and how right it is on held-out renders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tinyworld import damage
from tinyworld.data import Rendered, rendered, to_bytes, to_tensor
from tinyworld.fitting import Plan, fit
from tinyworld.judge import JUNK, Judge, heads_of_the_world
from tinyworld.subject import Attributes
from tinyworld.world import COMMON_ATTRIBUTES

PLAN = Plan(stage="judge", steps=2600, batch_size=64, learning_rate=2e-3)
IGNORED = -100
HELD_OUT = 1_000
"""Held-out scenes are those of the world `seed + HELD_OUT`."""


@dataclass
class Material:
    """Images with a target for every head of the judge; `IGNORED` where there is none."""

    images: UInt8[NDArray[np.uint8], "count 64 64 3"]
    targets: dict[str, Int[Tensor, " count"]]

    @staticmethod
    def joined(parts: "Sequence[Material]") -> "Material":
        """The parts one after the other."""
        names = parts[0].targets
        return Material(
            np.concatenate([part.images for part in parts]),
            {name: torch.cat([part.targets[name] for part in parts]) for name in names},
        )


def targets(
    names: Sequence[str], attributes: Sequence[Attributes], clean: bool, told: bool = True
) -> dict[str, Int[Tensor, " count"]]:
    """The heads' targets for scenes; without `told` only the subject and cleanness are."""
    heads = heads_of_the_world()
    found = {head: torch.full((len(names),), IGNORED) for head in heads}
    for index, (name, values) in enumerate(zip(names, attributes, strict=True)):
        found["subject"][index] = heads["subject"].index(name)
        found["clean"][index] = heads["clean"].index("yes" if clean else "no")
        for attribute, value in values.items() if told else ():
            head = attribute if attribute in COMMON_ATTRIBUTES else f"{name}.{attribute}"
            found[head][index] = heads[head].index(value)
    return found


@torch.no_grad()
def decoded(
    autoencoder: AutoencoderKL, latents: Float[Tensor, "count 4 16 16"]
) -> UInt8[NDArray[np.uint8], "count 64 64 3"]:
    """Latents as images."""
    parts = [to_bytes(autoencoder.decode(part.float()).sample) for part in latents.split(64)]
    return np.concatenate(parts)


@torch.no_grad()
def encoded(
    autoencoder: AutoencoderKL, images: UInt8[NDArray[np.uint8], "count 64 64 3"]
) -> Float[Tensor, "count 4 16 16"]:
    """Images as latents (the posterior's means)."""
    parts = torch.arange(len(images)).split(64)
    return torch.cat(
        [autoencoder.encode(to_tensor(images[part.numpy()])).latent_dist.mean for part in parts]
    )


def material(
    autoencoder: AutoencoderKL,
    data: Rendered,
    flawed: Rendered,
    latents: Float[Tensor, "count 4 16 16"],
    part: int,
    generator: torch.Generator,
) -> Material:
    """`2 * part` renders, `2 * part` through the autoencoder, half of those with a little noise
    on the latent (all clean); `part` with much noise on the latent or blended with another
    latent, and `part` flawed renders (all unclean)."""

    def labels(start: int, count: int, clean: bool, told: bool) -> dict[str, Tensor]:
        chosen = slice(start, start + count)
        return targets(data.subjects[chosen], data.attributes[chosen], clean, told)

    def noise(like: Tensor, low: float, high: float) -> Tensor:
        level = low + (high - low) * torch.rand(len(like), 1, 1, 1, generator=generator)
        return level * torch.randn(like.shape, generator=generator)

    renders = Material(np.array(data.images[: 2 * part]), labels(0, 2 * part, True, True))
    near = latents[2 * part : 4 * part].float()
    near[::2] += noise(near[::2], 0.0, 0.2)
    through = Material(decoded(autoencoder, near), labels(2 * part, 2 * part, True, True))
    far = latents[4 * part : 5 * part].float()
    half = part // 2
    far[:half] += noise(far[:half], 0.5, 1.3)
    weight = 0.35 + 0.3 * torch.rand(part - half, 1, 1, 1, generator=generator)
    far[half:] = (1 - weight) * far[half:] + weight * far[half:].roll(1, 0)
    wrecked = Material(decoded(autoencoder, far), labels(4 * part, part, False, False))
    wrecked.targets["subject"][half:] = IGNORED
    spoiled = encoded(autoencoder, np.array(flawed.images[:part]))
    crippled = Material(
        decoded(autoencoder, spoiled),
        targets(flawed.subjects[:part], flawed.attributes[:part], False, False),
    )
    return Material.joined((renders, through, wrecked, crippled))


class JudgeLoss(nn.Module):
    """Cross-entropy over all heads. Of each batch three tenths are damaged on the way: blurred,
    smeared or ghosted (unclean where it shows), or shuffled (junk)."""

    def __init__(self, data: Material) -> None:
        super().__init__()
        self.judge = Judge(heads_of_the_world())
        self.data = data

    def forward(self, indices: Int[Tensor, " batch"], generator: torch.Generator) -> Tensor:
        """The mean loss of the images at `indices`."""
        images = to_tensor(self.data.images[indices.numpy()])
        wanted = {name: column[indices].clone() for name, column in self.data.targets.items()}
        images, wanted = self._damaged(images, wanted, generator)
        images = _varied(images, generator)
        answers = self.judge(images)
        losses = [
            cross_entropy(answers[name], column, ignore_index=IGNORED, reduction="sum")
            / len(indices)
            for name, column in wanted.items()
        ]
        return torch.stack(losses).sum()

    def _damaged(
        self,
        images: Float[Tensor, "batch 3 64 64"],
        wanted: dict[str, Int[Tensor, " batch"]],
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "batch 3 64 64"], dict[str, Int[Tensor, " batch"]]]:
        tenth = max(1, len(images) // 13)
        images = images.clone()
        ways: tuple[Callable[[Tensor], Tensor], ...] = (
            lambda part: damage.blurred(part, 1.2 + 2 * torch.rand((), generator=generator).item()),
            lambda part: damage.smeared(part, generator),
            lambda part: damage.ghosted(part, generator),
            lambda part: damage.shuffled(part, generator),
        )
        for number, way in enumerate(ways):
            part = slice(number * tenth, (number + 1) * tenth)
            before = images[part]
            after = way(before)
            images[part] = after
            shows = damage.visible(before, after)
            for name, column in wanted.items():
                if name not in ("subject", "clean"):
                    column[part] = IGNORED
            unclean = wanted["clean"][part] == 0
            wanted["clean"][part] = torch.where(shows | unclean, 0, IGNORED)
            if number == 3:
                wanted["subject"][part] = heads_of_the_world()["subject"].index(JUNK)
        return images, wanted


def _varied(
    images: Float[Tensor, "batch 3 64 64"], generator: torch.Generator
) -> Float[Tensor, "batch 3 64 64"]:
    """Mirrored, moved by up to two pixels, a little brighter or darker."""
    if torch.rand((), generator=generator) < 0.5:
        images = images.flip(-1)
    down, right = torch.randint(0, 5, (2,), generator=generator).tolist()
    wide = nn.functional.pad(images, (2, 2, 2, 2), mode="replicate")
    images = wide[:, :, down : down + 64, right : right + 64]
    gain = 1 + 0.1 * (torch.rand(len(images), 1, 1, 1, generator=generator) - 0.5)
    lift = 0.1 * (torch.rand(len(images), 3, 1, 1, generator=generator) - 0.5)
    return images * gain + lift


def train(rank: int, folder: Path, seed: int, judge: Path) -> None:
    """Trains the judge on `folder/material.pt`; rank 0 writes it to `judge`."""
    torch.manual_seed(seed)
    stored = torch.load(folder / "material.pt", weights_only=True)
    data = Material(stored["images"].numpy(), stored["targets"])
    ema = fit(rank, PLAN, JudgeLoss(data), folder, seed, len(data.images))
    if rank == 0:
        ema.judge.save(judge)


def prepare(folder: Path, data: Rendered, seed: int, part: int = 5000) -> None:
    """Writes `folder/material.pt`."""
    autoencoder = AutoencoderKL.from_pretrained(folder / "vae")
    latents = torch.load(folder / "latents.pt", weights_only=True)
    flawed = rendered(folder, part, seed + 1, flawed=True)
    generator = torch.Generator().manual_seed(seed)
    made = material(autoencoder, data, flawed, latents, part, generator)
    torch.save(
        {"images": torch.from_numpy(made.images), "targets": made.targets}, folder / "material.pt"
    )


def accuracy(
    judge: Judge,
    autoencoder: AutoencoderKL,
    scenes: Sequence[tuple[str, Attributes, Image.Image]],
) -> dict[str, float]:
    """Share of right answers of each head on scenes that went through the autoencoder."""
    images = np.stack([np.asarray(image) for _, _, image in scenes])
    through = decoded(autoencoder, encoded(autoencoder, images))
    names = [name for name, _, _ in scenes]
    wanted = targets(names, [values for _, values, _ in scenes], clean=True)
    answers = judge.logits([Image.fromarray(image) for image in through])
    shares = {}
    for name, column in wanted.items():
        known = column != IGNORED
        right = answers[name].argmax(1)[known] == column[known]
        shares[name] = right.float().mean().item()
    return shares
