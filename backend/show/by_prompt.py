"""Success by prompt, in a run of several. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from backend.run.records import Epoch, Image, Run


@dataclass(frozen=True)
class PromptLine:
    """What people said of one prompt's images."""

    prompt: str
    criteria: str
    rates: tuple[float | None, ...]
    """Share of the judged images that were called good, epoch by epoch."""
    good: int
    judged: int
    """In all epochs."""
    next_images: int | None
    """Its images in the epoch that is drawn or labelled; None where there is none."""
    model_good: int | None = None
    model_judged: int | None = None
    """Its fresh images of the run's model, where the method keeps a record of that."""

    @property
    def known(self) -> list[float]:
        """The rates there are."""
        return [rate for rate in self.rates if rate is not None]


def by_prompt(run: Run, epochs: Sequence[Epoch], images: Sequence[Image]) -> tuple[PromptLine, ...]:
    """A line a prompt, in the run's order; none in a run of one."""
    if len(run.prompts) == 1:
        return ()
    of = defaultdict(list)
    for image in images:
        of[image.prompt, image.epoch].append(image)
    closed = [row.epoch for row in epochs if row.labelled_at is not None]
    reports = [row.report for row in epochs if row.report is not None]
    models = {
        each["prompt"]: each for each in (reports[-1] if reports else {}).get("by_prompt", ())
    }
    lines = []
    for prompt in run.prompts:
        verdicts = [[image.verdict for image in of[prompt, epoch]] for epoch in closed]
        counts = [(_good(each), sum(v is not None for v in each)) for each in verdicts]
        model = models.get(prompt, {})
        lines.append(
            PromptLine(
                prompt,
                run.labelling.criteria_of(prompt),
                tuple(good / judged if judged else None for good, judged in counts),
                sum(good for good, _ in counts),
                sum(judged for _, judged in counts),
                len(of[prompt, run.epoch]) or None,
                model.get("model_good"),
                model.get("model_judged"),
            )
        )
    return tuple(lines)


def _good(verdicts: Sequence[str | None]) -> int:
    return sum(verdict in ("good", "best") for verdict in verdicts)
