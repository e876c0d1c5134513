"""A batch of images as people judge it, and what they said."""

from collections.abc import Callable, Iterable, Sequence
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

Encode = Callable[[Sequence[Image.Image]], Tensor]
"""Pictures of the model's size -> their clean latents [picture channel height width]."""


@dataclass
class Batch:
    """The images of one epoch with all that learning from them needs."""

    epoch: int
    prompt: str
    images: list[Image.Image]
    noises: Float[Tensor, "batch channel height width"] | None
    """z_T, on the CPU; None for pictures that no model of the run drew."""
    latents: Float[Tensor, "batch channel height width"]
    """z_0, on the CPU."""
    transitions: Transitions | None = None
    """None where the method learns from no trajectory."""
    prompts: tuple[str, ...] = ()
    """Each image's, in a run of several prompts; empty where all were drawn with `prompt`."""

    @property
    def drawn(self) -> bool:
        """Whether the run's model drew the images, so that verdicts on them speak of it."""
        return self.noises is not None

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
            noises=None if self.noises is None else self.noises[chosen],
            latents=self.latents[chosen],
            transitions=None if self.transitions is None else self.transitions[chosen],
        )

    def save(self, folder: Path) -> None:
        """Write batch.safetensors, batch.json and images/0000.png ... into `folder`.

        The caller gives the folder its final name when all is there (`whole_folder`). Raises
        `StorageError`.
        """
        tensors = {"latents": self.latents}
        if self.noises is not None:
            tensors["noises"] = self.noises
        if self.transitions is not None:
            for field in fields(self.transitions):
                tensors[f"transitions.{field.name}"] = getattr(self.transitions, field.name)
        about = {
            "epoch": self.epoch,
            "prompt": self.prompt,
            **({"prompts": list(self.prompts)} if self.prompts else {}),
        }
        with storing(f"the batch of epoch {self.epoch}", folder):
            names = _write_images(folder, self.images)
            write_tensors(folder / TENSORS, tensors)
            _write_about(folder, about, names, TENSORS)

    @classmethod
    def load(cls, folder: Path, timesteps: Tensor, encode: Encode | None = None) -> "Batch":
        """Read what `save` or `save_pictures` wrote. Raises `DamagedFiles`, or `CheckpointError` if
        it is too new.

        Args:
            timesteps: those of the run's schedule [step], by which format 1 named its steps.
            encode: makes the latents of pictures that no model drew.
        """
        try:
            about = checked_about(folder)
            encoded = about.get("encoded", True)
            tensors = load_file(folder / TENSORS) if encoded else {}
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
            if not encoded:
                tensors["latents"] = _encoded(images, encode)
            transitions = None
            if "transitions.steps" in tensors:
                transitions = Transitions(
                    **{f.name: tensors[f"transitions.{f.name}"] for f in fields(Transitions)}
                )
            return cls(
                epoch=about["epoch"],
                prompt=about["prompt"],
                images=images,
                noises=tensors.get("noises"),
                latents=tensors["latents"],
                transitions=transitions,
                prompts=tuple(about.get("prompts", ())),
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise DamagedFiles(
                f"The batch in {folder} cannot be read ({error}); `hero repair` draws it again: "
                "the same seed gives the same images."
            ) from error


def save_pictures(folder: Path, epoch: int, prompt: str, pictures: Iterable[Image.Image]) -> None:
    """Write pictures that people judged and no model of the run drew as a batch in `folder`, which
    the caller gives its final name. Their latents are made when it is loaded. Raises
    `StorageError`."""
    with storing(f"the pictures of epoch {epoch}", folder):
        names = _write_images(folder, pictures)
        _write_about(folder, {"epoch": epoch, "prompt": prompt, "encoded": False}, names)


def _write_images(folder: Path, images: Iterable[Image.Image]) -> list[str]:
    """Their names in the folder."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    names = []
    for index, image in enumerate(images):
        names.append(f"images/{index:04d}.png")
        image.save(folder / names[-1])
    return names


def _write_about(folder: Path, about: dict[str, Any], names: list[str], *others: str) -> None:
    sums = sums_of(folder, [*names, *others])
    about = {"format": FORMAT, **about, "images": names, SUMS: sums}
    (folder / ABOUT).write_text(checked_text(about))


def _encoded(images: list[Image.Image], encode: Encode | None) -> Tensor:
    if encode is None:
        raise ValueError("it holds pictures without latents, which only their run's model makes")
    return encode(images)


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
