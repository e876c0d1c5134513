"""A blind comparison of two models: what is compared, and what people said of each pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from backend.run.records import in_words

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")
TIE = "tie"
CHOICES = (*SIDES, TIE)
"""What people say of a pair."""
LabelledPair = tuple[int, Sequence[Mapping[str, Any]]]
"""A pair's number, and the annotations of its task as Label Studio gives them."""


@dataclass(frozen=True)
class ComparedModel:
    """One of the two models."""

    run_id: str
    epoch: int | None
    """The run's model as it stood after so many epochs; None for the base model under it."""


@dataclass(frozen=True)
class Comparison:
    """Pairs of images of the same noises, drawn by a run's model and by another one."""

    id: str
    run_id: str
    number: int
    """Of the run's comparisons, from 1."""
    epoch: int
    """The run's epochs when its images were drawn."""
    model_epoch: int
    """After how many epochs the run's model, the one that people get, was made."""
    against_run_id: str
    against_epoch: int | None
    """As `ComparedModel.epoch`."""
    prompts: tuple[str, ...]
    """They take turns, pair by pair."""
    criteria: tuple[str, ...]
    """What makes the images of each prompt good; empty where nobody said it."""
    pairs: int
    annotators_per_pair: int
    """People who have to judge a pair."""
    seed: int
    """Of the noises."""
    sides: str
    """Where the run's image stands, a letter a pair: l or r. Nobody who judges may know it."""
    created_at: datetime
    published_at: datetime | None
    project_id: int | None
    polled_at: datetime | None
    complete: bool
    """Whether every pair had all its votes when they were fetched last."""

    @property
    def model(self) -> ComparedModel:
        """The run's model."""
        return ComparedModel(self.run_id, self.epoch)

    @property
    def against(self) -> ComparedModel:
        """The other model."""
        return ComparedModel(self.against_run_id, self.against_epoch)

    @property
    def in_words(self) -> str:
        """Its prompt; of several, how many and which."""
        return in_words(self.prompts)

    def prompt_of(self, pair: int) -> str:
        """What the two images of a pair show."""
        return self.prompts[pair % len(self.prompts)]

    def criteria_of(self, pair: int) -> str:
        """What makes an image of a pair good."""
        return self.criteria[pair % len(self.criteria)]

    def side_of_run(self, pair: int) -> Side:
        """The side of a pair on which the run's image stands."""
        return "left" if self.sides[pair] == "l" else "right"


@dataclass(frozen=True)
class PairVote:
    """What one person's annotation says of one pair."""

    comparison_id: str
    ls_id: int
    pair: int
    annotator_id: int | None
    annotator: str | None
    """E-mail address, where Label Studio gave it."""
    choice: str | None
    """left, right or tie; None for a skip or what cannot be read."""
    was_cancelled: bool
    lead_time: float | None
    created_at: datetime
    updated_at: datetime
