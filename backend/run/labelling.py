"""How people label a run: page, number of annotators, whose votes count, how votes are merged."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from backend.errors import BadInput

Layout = Literal["image", "gallery"]
Policy = Literal["majority", "any-good", "all-good", "dawid-skene"]
Order = Literal["sequential", "uncertain", "best-first"]


class Labelling(BaseModel):
    """One run's labelling plan; kept with the run and never changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Layout = Field(
        "image", description="image: one task per image; gallery: one page per epoch."
    )
    annotators_per_image: int = Field(
        1, ge=1, description="People who have to judge an image before its epoch closes."
    )
    annotators: tuple[str, ...] = Field(
        (), description="E-mail addresses of those whose votes count; everybody's if empty."
    )
    adjudicators: tuple[str, ...] = Field(
        (), description="E-mail addresses of people whose vote decides an image alone."
    )
    consensus: Policy = Field("majority", description="How several votes become one verdict.")
    order: Order = Field(
        "sequential",
        description="In which order people see an epoch, from the second on: as drawn, the images "
        "that the embedding is least sure of first, or the likely best first.",
    )
    label_budget: int | None = Field(
        None,
        ge=2,
        description="Images that people are asked for in an epoch, from the second on; the "
        "embedding judges the others.",
    )
    suggestions: bool = Field(
        False,
        description="Whether a gallery's page opens with what the model takes for good, where it "
        "is mostly right.",
    )
    criteria: str = Field("", description="What makes an image good, shown while labelling.")
    criteria_by_prompt: dict[str, str] = Field(
        {}, description="The same for single prompts of a run of several."
    )

    @field_validator("annotators", "adjudicators", mode="before")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = value.split(",")
        if not isinstance(value, list | tuple):
            raise ValueError("name them as a@example.com,b@example.com")
        addresses = [str(address).strip().lower() for address in value]
        wrong = [address for address in addresses if "@" not in address]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no e-mail address")
        return tuple(dict.fromkeys(addresses))

    @model_validator(mode="after")
    def _enough_people(self) -> Self:
        people = {*self.annotators, *self.adjudicators}
        if self.annotators and self.annotators_per_image > len(people):
            raise ValueError(
                f"each image needs {self.annotators_per_image} people's votes, and only "
                f"{len(people)} people's count ({', '.join(sorted(people))}); name more annotators"
            )
        return self

    def criteria_of(self, prompt: str) -> str:
        """What makes an image of that prompt good."""
        return self.criteria_by_prompt.get(prompt, self.criteria)

    def may_vote(self, email: str | None) -> bool:
        """Whether an annotator's votes count."""
        if not self.annotators:
            return True
        return (email or "").lower() in {*self.annotators, *self.adjudicators}

    def adjudicates(self, email: str | None) -> bool:
        """Whether an annotator's vote settles an image by itself."""
        return (email or "").lower() in self.adjudicators


def make_labelling(**fields: Any) -> Labelling:
    """A labelling plan from what a person said.

    Raises:
        BadInput: one sentence that names the option and what is wrong with it.
    """
    try:
        return Labelling(**fields)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(f'{part}: ' for part in problem['loc'][:1])}"
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        raise BadInput(f"The run cannot be labelled so: {said}.") from error
