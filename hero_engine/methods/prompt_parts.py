"""A batch and its feedback by prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

from hero_engine.errors import FeedbackError
from hero_engine.feedback.evidence import Tally
from hero_engine.report import PromptSuccess
from hero_engine.storage.batch import Batch, Feedback


@dataclass(frozen=True)
class PromptPart:
    """The images of one prompt, and what was said of them."""

    number: int
    """Of the prompt, among the run's."""
    rows: list[int]
    """Of the images, in the whole batch."""
    batch: Batch
    feedback: Feedback

    @property
    def prompt(self) -> str:
        """What the images were drawn with."""
        return self.batch.prompt


def parts_of(batch: Batch, feedback: Feedback, prompts: Sequence[str]) -> list[PromptPart]:
    """One part for each of the run's prompts, in their order: the batch as it is where it has one.

    Raises `FeedbackError` if the batch has a prompt that the run has not.
    """
    if not batch.prompts:
        return [PromptPart(0, list(range(len(batch.images))), batch, feedback)]
    strange = set(batch.prompts) - set(prompts)
    if strange:
        raise FeedbackError(
            f"The batch of epoch {batch.epoch} has images of {min(strange)!r}, which is no prompt "
            "of this run; send the batch that this run drew."
        )
    parts = []
    for number, prompt in enumerate(prompts):
        rows = [row for row, drawn in enumerate(batch.prompts) if drawn == prompt]
        parts.append(PromptPart(number, rows, batch.of(rows, prompt), feedback.of(rows)))
    return parts


def success_of(part: PromptPart, fresh: Sequence[bool | None]) -> PromptSuccess:
    """For a report; `fresh` are the verdicts on the images from N(0, I)."""
    every, of_fresh = Tally().add(part.feedback.good), Tally().add(fresh)
    return PromptSuccess(
        part.prompt,
        images=len(part.rows),
        judged=every.judged,
        good=every.good,
        judged_fresh=of_fresh.judged,
        good_fresh=of_fresh.good,
    )
