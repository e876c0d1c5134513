"""What an export is made of."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from backend.errors import ImageUnresolvable, NothingToExport
from backend.run.records import Annotation, Epoch, Image, Run
from backend.run.rewards import compare_with_best
from backend.settings import Settings
from backend.store import Store

Place = tuple[int, int]
"""Epoch and index of an image."""


def counted(epoch: int) -> int:
    """An epoch's number in files: from 1, as people count."""
    return epoch + 1


@dataclass(frozen=True)
class Source:
    """A run, and where everything about it stands."""

    settings: Settings
    store: Store
    run: Run
    repository: str | None = None
    """OWNER/NAME on the model hub that the export goes to."""

    @cached_property
    def images(self) -> list[Image]:
        """The run's images, in order."""
        return self.store.images(self.run.id)

    @cached_property
    def annotations(self) -> list[Annotation]:
        """Everything that people said, by epoch, image and annotation."""
        rows = self.store.annotations(self.run.id)
        return sorted(rows, key=lambda row: (row.epoch, row.index, row.ls_id))

    @cached_property
    def closed(self) -> dict[int, Epoch]:
        """The epochs whose verdicts are decided, by number."""
        epochs = self.store.epochs(self.run.id)
        return {epoch.epoch: epoch for epoch in epochs if epoch.labelled_at is not None}

    @cached_property
    def votes(self) -> dict[Place, Counter[str]]:
        """How often each value was given to an image, by the votes that its verdict counted."""
        votes: dict[Place, Counter[str]] = {
            (image.epoch, image.index): Counter() for image in self.images
        }
        for row in self.annotations:
            if row.frozen and row.value is not None and not row.pick:
                votes[row.epoch, row.index][row.value] += 1
        return votes

    @property
    def labels(self) -> int:
        """How many images have a verdict that the model could learn from."""
        return sum(image.verdict is not None for image in self.images if image.epoch in self.closed)

    def judged(self) -> list[Image]:
        """The images of the closed epochs.

        Raises:
            NothingToExport: no epoch is closed yet.
        """
        images = [image for image in self.images if image.epoch in self.closed]
        if not images:
            raise self.nothing("no epoch has been labelled to its end", "label it first")
        return images

    def is_anchor(self, image: Image) -> bool:
        """Whether the rewards are the similarity to this image, from its epoch on."""
        epoch = self.closed.get(image.epoch)
        chosen = epoch is not None and image.index in epoch.bests
        return chosen and compare_with_best(self.run.config)

    def prompt_of(self, image: Image) -> str:
        """What an image was drawn with."""
        return self.run.prompt if image.prompt is None else image.prompt

    def image_file(self, image: Image) -> Path:
        """Where an image lies.

        Raises:
            ImageUnresolvable: it was deleted.
        """
        path = self.settings.images_dir / image.path
        if not path.is_file():
            raise ImageUnresolvable(
                f"Cannot export the images of run {self.run.id}: {path} is gone; put it back from "
                "a backup, or export the verdicts, which need no images."
            )
        return path

    def nothing(self, why: str, todo: str) -> NothingToExport:
        """The error for a run that has nothing of a kind yet."""
        where = f" at {self.run.project_url}" if self.run.project_url else ""
        return NothingToExport(
            f"Cannot export this of run {self.run.id}: {why}; {todo}{where}, then export again."
        )
