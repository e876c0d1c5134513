"""A batch of images as people judge it, and what they said."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jaxtyping import Float
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hero_engine.diffusion.sampling import Transitions
from hero_engine.errors import CheckpointError, DamagedFiles, FeedbackError
from hero_engine.storage.checked import SUMS, check_sums, checked_text, read_checked, sums_of
from hero_engine.storage.durable import storing, write_tensors

ABOUT, TENSORS = "batch.json", "batch.safetensors"
FORMAT = 2
"""Format 1 always had transitions, whose steps were named by their timesteps."""


@dataclass
class Batch:
    """The images of one epoch with all that learning from them needs."""

    epoch: int
    prompt: str
    images: list[Image.Image]
    noises: Float[Tensor, "batch channel height width"]
    """z_T, on the CPU."""
    latents: Float[Tensor, "batch channel height width"]
    """z_0, on the CPU."""
    transitions: Transitions | None = None
    """None where the method learns from no trajectory."""

    def save(self, folder: Path) -> None:
        """Write batch.safetensors, batch.json and images/0000.png ... into `folder`.

        The caller gives the folder its final name when all is there (`whole_folder`). Raises
        `StorageError`.
        """
        tensors = {"noises": self.noises, "latents": self.latents}
        if self.transitions is not None:
            for field in fields(self.transitions):
                tensors[f"transitions.{field.name}"] = getattr(self.transitions, field.name)
        names = [f"images/{index:04d}.png" for index in range(len(self.images))]
        about = {
            "format": FORMAT,
            "epoch": self.epoch,
            "prompt": self.prompt,
            "images": names,
        }
        with storing(f"the batch of epoch {self.epoch}", folder):
            (folder / "images").mkdir(parents=True, exist_ok=True)
            for name, image in zip(names, self.images, strict=True):
                image.save(folder / name)
            write_tensors(folder / TENSORS, tensors)
            sums = sums_of(folder, [*names, TENSORS])
            (folder / ABOUT).write_text(checked_text({**about, SUMS: sums}))

    @classmethod
    def load(cls, folder: Path, timesteps: Tensor) -> "Batch":
        """Read what `save` wrote. Raises `DamagedFiles`, or `CheckpointError` if it is too new.

        `timesteps` are those of the run's schedule [step], by which format 1 named its steps.
        """
        try:
            about = checked_about(folder)
            tensors = load_file(folder / TENSORS)
            if about["format"] == 1:
                named = tensors.pop("transitions.timesteps")
                found = timesteps.cpu() == named[..., None]
                if not found.any(dim=-1).all():
                    raise ValueError("its timesteps are not those of the run's model")
                tensors["transitions.steps"] = found.int().argmax(dim=-1)
            images = []
            for name in about["images"]:
                with Image.open(folder / name) as image:
                    images.append(image.copy())
            transitions = None
            if "transitions.steps" in tensors:
                transitions = Transitions(
                    **{f.name: tensors[f"transitions.{f.name}"] for f in fields(Transitions)}
                )
            return cls(
                epoch=about["epoch"],
                prompt=about["prompt"],
                images=images,
                noises=tensors["noises"],
                latents=tensors["latents"],
                transitions=transitions,
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise DamagedFiles(
                f"The batch in {folder} cannot be read ({error}); `hero repair` draws it again: "
                "the same seed gives the same images."
            ) from error


def checked_about(folder: Path) -> dict[str, Any]:
    """A batch's batch.json, once all of its files are seen to be whole; those of earlier versions
    say nothing of that. Raises `OSError`, `ValueError`, `KeyError`, or `CheckpointError` if it is
    too new."""
    about = read_checked(folder / ABOUT)
    if about["format"] not in (1, FORMAT):
        raise CheckpointError(
            f"The batch in {folder} cannot be read: its format is {about['format']} and this "
            f"version reads 1 to {FORMAT}; update HERO."
        )
    check_sums(folder, about.get(SUMS, {}))
    return about


@dataclass(frozen=True)
class Feedback:
    """What people said of a batch."""

    good: tuple[bool | None, ...]
    """For each image: good, bad, or None where nobody judged it."""
    best: int | None = None
    """Index of the best image, which counts as good; None where nobody chose one."""

    def check(self, batch: Batch) -> "Feedback":
        """This feedback with the best image among the good; `FeedbackError` if it does not fit."""
        n = len(batch.images)
        if len(self.good) != n:
            raise FeedbackError(
                f"The feedback is about {len(self.good)} images and the batch of epoch "
                f"{batch.epoch} has {n}; send one verdict an image, None where there is none."
            )
        if self.best is None:
            return self
        if not 0 <= self.best < n:
            raise FeedbackError(
                f"The best image is number {self.best}, but the batch of epoch {batch.epoch} has "
                f"images 0 to {n - 1}; send an index into the batch, or None."
            )
        good = tuple(True if i == self.best else verdict for i, verdict in enumerate(self.good))
        return Feedback(good, self.best)
