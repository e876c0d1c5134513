"""What a run begins with: which run goes on from which, and labels that were imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parent:
    """A run from whose model another one goes on."""

    run_id: str
    epoch: int
    """After how many epochs of it."""
    labels: bool = False
    """Whether its labels are learned from, too."""

    @property
    def columns(self) -> Mapping[str, Any]:
        """What the run that goes on remembers of it."""
        return {
            "parent_id": self.run_id,
            "parent_epoch": self.epoch,
            "parent_labels": self.labels,
        }

    def __str__(self) -> str:
        """In words."""
        return f"{self.run_id} after epoch {self.epoch}{', with its labels' if self.labels else ''}"


@dataclass(frozen=True)
class ImportedLabels:
    """The verdicts on pictures that people judged before the run: its first epoch."""

    good: int
    """The best one too."""
    bad: int

    def __str__(self) -> str:
        """In words."""
        return f"{self.good + self.bad} imported labels: {self.good} good, {self.bad} bad"


@dataclass(frozen=True)
class Chain:
    """The runs before a run and after it, and the labels that it began with."""

    before: tuple[Parent, ...] = ()
    """What it goes on from, what that goes on from, ..."""
    after: tuple[str, ...] = ()
    """The runs that go on from it."""
    imported: ImportedLabels | None = None

    @property
    def sentences(self) -> list[str]:
        """In words; nothing for a run that stands alone."""
        said = []
        if self.before:
            said.append(f"Goes on from {'; that from '.join(map(str, self.before))}.")
        if self.imported:
            said.append(f"Epoch 1 is {self.imported}.")
        if self.after:
            said.append(f"{', '.join(self.after)} {'go' if self.after[1:] else 'goes'} on from it.")
        return said
