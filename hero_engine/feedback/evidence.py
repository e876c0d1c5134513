"""What people's verdicts on images from fresh noises prove of the model that drew them."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import lgamma, log

ERROR = 0.05
"""How often, at most, a model is called good enough that is not."""
_PRIOR = (60.0, 1.0)
"""Of the success rates that a good model may have, as a beta distribution: near 1. It decides how
soon a proof succeeds, not how often one is wrong."""


@dataclass(frozen=True)
class Tally:
    """The verdicts on what one model drew from N(0, I)."""

    good: int = 0
    judged: int = 0

    def add(self, verdicts: Iterable[bool | None]) -> "Tally":
        """With more verdicts; None is an image that nobody judged."""
        known = [verdict for verdict in verdicts if verdict is not None]
        return Tally(self.good + sum(known), self.judged + len(known))

    def anew(self) -> "Tally":
        """Nothing judged yet."""
        return Tally()

    @property
    def rate(self) -> float | None:
        """Share of the judged images that are good; None where nothing was judged."""
        return self.good / self.judged if self.judged else None

    def error(self, one: int, other: int) -> float:
        """Standard error of the difference between the rates of two samples of those sizes."""
        rate = self.rate or 0.0
        return (rate * (1.0 - rate) * (1 / one + 1 / other)) ** 0.5

    def fall(self, before: "Tally") -> float:
        """How far the rate is below that of another model's verdicts."""
        return (before.rate or 0.0) - (self.rate or 0.0)

    def error_of_fall(self, before: "Tally") -> float:
        """Its standard error, if both models were alike."""
        both = Tally(self.good + before.good, self.judged + before.judged)
        return both.error(self.judged, before.judged)

    def proves(self, rate: float, error: float = ERROR) -> bool:
        """Whether the model's success rate is at least `rate`, however often one has looked.

        The likelihood of the verdicts, mixed over `_PRIOR`, by that at `rate` is a martingale where
        `rate` is the truth; it ever exceeds 1 / error with a probability of at most `error`
        (Ville, 1939; Robbins, "Statistical methods related to the law of the iterated logarithm",
        1970). So the lower end of the sequence of intervals that it makes may be looked at after
        every epoch.
        """
        if self.rate is None or self.rate <= rate:
            return False
        a, b = _PRIOR
        bad = self.judged - self.good
        mixed = _log_beta(self.good + a, bad + b) - _log_beta(a, b)
        return mixed - self.good * log(rate) - bad * log(1.0 - rate) >= log(1.0 / error)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
