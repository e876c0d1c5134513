"""The same evidence for a run of several prompts, each of which counts alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from hero_engine.feedback.evidence import Tally
from hero_engine.feedback.metrics import mean_of


@dataclass(frozen=True)
class Tallies:
    """The verdicts on what one model drew from N(0, I), for each prompt.

    A prompt of which more images are drawn weighs no more than another, so that rates of batches
    that are spread differently can be compared.
    """

    of_prompts: tuple[Tally, ...]

    @classmethod
    def none(cls, prompts: int) -> "Tallies":
        """Nothing judged yet."""
        return cls((Tally(),) * prompts)

    def anew(self) -> "Tallies":
        """Nothing judged yet, of the same prompts."""
        return Tallies.none(len(self.of_prompts))

    def add(self, verdicts: Sequence[Sequence[bool | None]]) -> "Tallies":
        """With more verdicts of each prompt; None is an image that nobody judged."""
        pairs = zip(self.of_prompts, verdicts, strict=True)
        return Tallies(tuple(tally.add(more) for tally, more in pairs))

    @property
    def good(self) -> int:
        """Good images of all prompts."""
        return sum(tally.good for tally in self.of_prompts)

    @property
    def judged(self) -> int:
        """Judged images of all prompts."""
        return sum(tally.judged for tally in self.of_prompts)

    @property
    def rate(self) -> float | None:
        """The mean of the prompts' success rates; None where nothing was judged."""
        return mean_of([tally.rate for tally in self.of_prompts])

    def fall(self, before: "Tallies") -> float:
        """How far the rate is below that of another model's verdicts, over the prompts that were
        judged of both."""
        return mean_of([one.fall(other) for one, other in self._beside(before)]) or 0.0

    def error_of_fall(self, before: "Tallies") -> float:
        """Its standard error, if both models were alike."""
        errors = [one.error_of_fall(other) for one, other in self._beside(before)]
        return sqrt(sum(error * error for error in errors)) / len(errors) if errors else 0.0

    def proves(self, rate: float) -> bool:
        """Whether the success rate of every prompt is at least `rate`.

        Each is proved by itself. That all are is then wrong as rarely as one is, since it is wrong
        only if that of a prompt which misses `rate` is (an intersection-union test; Berger, 1982).
        """
        return all(tally.proves(rate) for tally in self.of_prompts)

    def _beside(self, before: "Tallies") -> list[tuple[Tally, Tally]]:
        pairs = zip(self.of_prompts, before.of_prompts, strict=True)
        return [(one, other) for one, other in pairs if one.judged and other.judged]


def by_prompt(tally: Tally | Tallies) -> Tallies:
    """The same as one of prompts."""
    return tally if isinstance(tally, Tallies) else Tallies((tally,))


def tally_of(facts: Mapping[str, Any]) -> Tally | Tallies:
    """What `dataclasses.asdict` made of either."""
    if "of_prompts" not in facts:
        return Tally(**facts)
    return Tallies(tuple(Tally(**each) for each in facts["of_prompts"]))
