"""Which model people get of a run, and what its labels say of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.run.records import Epoch
from backend.show.pictures import wilson_interval


@dataclass(frozen=True)
class RunModel:
    """The model that is exported and drawn with, where the method keeps a record of it."""

    epoch: int
    """After how many epochs it was made; 0 is the one that the run began with."""
    good: int
    judged: int
    """Its images from fresh noises, and how many of them people called good."""
    good_enough: bool
    """Whether they prove that it is as good as the run asks for."""
    goes_on: bool = False
    """Whether the run began with what another one had learned."""
    weakest: str = ""
    """In a run of several prompts, a sentence on the one that is good least often."""

    @property
    def rate(self) -> str:
        """Its success rate with the 95 % Wilson interval; or that nobody knows it yet."""
        if not self.judged:
            return "nobody has judged its images yet"
        low, high = wilson_interval(self.good, self.judged)
        return (
            f"{self.good} of {self.judged} fresh images are good, "
            f"{self.good / self.judged:.0%} ({100 * low:.0f} to {100 * high:.0f})"
        )

    @property
    def sentence(self) -> str:
        """Which it is, and why."""
        began = "the one that it began with" if self.goes_on else "the pretrained one"
        which = f"the one after epoch {self.epoch}" if self.epoch else began
        return f"The run's model is {which}: {self.rate}.{self.weakest and f' {self.weakest}'}"


def run_model(epochs: Sequence[Epoch], *, goes_on: bool = False) -> RunModel | None:
    """As the latest epoch that was learned from says; None where no record is kept."""
    reports = [epoch.report for epoch in epochs if epoch.report is not None]
    return _of(reports[-1], goes_on) if reports else None


def _of(report: Mapping[str, Any], goes_on: bool) -> RunModel | None:
    if report.get("model_epoch") is None:
        return None
    return RunModel(
        report["model_epoch"],
        report["model_good"],
        report["model_judged"],
        bool(report.get("good_enough")),
        goes_on,
        _weakest(report.get("by_prompt", ())),
    )


def _weakest(prompts: Sequence[Mapping[str, Any]]) -> str:
    judged = [each for each in prompts if each.get("model_judged")]
    if not judged:
        return ""
    found = min(judged, key=lambda each: each["model_good"] / each["model_judged"])
    good, of = found["model_good"], found["model_judged"]
    return f"Weakest of its prompts: {found['prompt']}, {good} of {of}."
