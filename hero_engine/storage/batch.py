"""A batch of images as people judge it, and what they said."""

from collections.abc import Sequence
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
    prompts: tuple[str, ...] = ()
    """Each image's, in a run of several prompts; empty where all were drawn with `prompt`."""

    def prompt_of(self, index: int) -> str:
        """What an image was drawn with."""
        return self.prompts[index] if self.prompts else self.prompt

    def of(self, rows: Sequence[int], prompt: str) -> "Batch":
        """Those of the images that were drawn with one prompt."""
        chosen = list(rows)
        return Batch(
            epoch=self.epoch,
            prompt=prompt,
            images=[self.images[row] for row in chosen],
            noises=self.noises[chosen],
            latents=self.latents[chosen],
            transitions=None if self.transitions is None else self.transitions[chosen],
        )

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
            **({"prompts": list(self.prompts)} if self.prompts else {}),
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
                prompts=tuple(about.get("prompts", ())),
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
    further_bests: tuple[int, ...] = ()
    """In a run of several prompts: the best images of other prompts than that of `best`."""

    @property
    def bests(self) -> tuple[int, ...]:
        """All best images, at most one a prompt."""
        return self.further_bests if self.best is None else (self.best, *self.further_bests)

    def of(self, rows: Sequence[int]) -> "Feedback":
        """What was said of some images, all of one prompt, numbered from 0."""
        best = next((number for number, row in enumerate(rows) if row in self.bests), None)
        return Feedback(tuple(self.good[row] for row in rows), best)

    def check(self, batch: Batch) -> "Feedback":
        """This feedback with the best images among the good; `FeedbackError` if it does not fit."""
        n = len(batch.images)
        if len(self.good) != n:
            raise FeedbackError(
                f"The feedback is about {len(self.good)} images and the batch of epoch "
                f"{batch.epoch} has {n}; send one verdict an image, None where there is none."
            )
        if not self.bests:
            return self
        for best in self.bests:
            if not 0 <= best < n:
                raise FeedbackError(
                    f"The best image is number {best}, but the batch of epoch {batch.epoch} has "
                    f"images 0 to {n - 1}; send an index into the batch, or None."
                )
        prompts = [batch.prompt_of(best) for best in self.bests]
        if len(set(prompts)) < len(prompts):
            raise FeedbackError(
                f"The images {', '.join(map(str, self.bests))} are best, and two of them are of "
                "one prompt; send one best a prompt."
            )
        good = tuple(True if i in self.bests else verdict for i, verdict in enumerate(self.good))
        return Feedback(good, self.best, self.further_bests)
