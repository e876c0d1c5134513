"""Which of a run's models people's verdicts speak for.

Every update makes a challenger of the model that was judged before it. Its own first batch decides:
if fewer of its images from fresh noises are good, the judged model comes back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hero_engine.feedback.evidence import Tally
from hero_engine.feedback.tallies import Tallies, by_prompt, tally_of
from hero_engine.methods.rollback import Tensors
from hero_engine.report import Report

HALF = 0.5
"""Of a model's fresh images that are good. Below it a run is on its way up: batches come from the
noise bank too, the few good images are learned from more often, and a small fall is taken for
chance. From there on every label counts."""


AnyTally = Tally | Tallies
"""Of a run of one prompt, or of several."""
Verdicts = Sequence[Any]
"""On images from N(0, I): [image], or [prompt][image] in a run of several prompts."""


@dataclass(frozen=True)
class Judged:
    """A model of the run, and what people said of its images from N(0, I)."""

    epoch: int = 0
    """After how many epochs it was made; 0 is the one that the run began with."""
    tally: AnyTally = field(default_factory=Tally)


@dataclass
class Standing:
    """The model that a run goes on with, and the judged one that it challenges."""

    current: Judged = field(default_factory=Judged)
    champion: Judged | None = None
    """What `current` was made of; None where it has no challenger, or has won."""
    tensors: Tensors | None = None
    """The champion's."""

    @property
    def last_judged(self) -> Judged:
        """The model of the latest verdicts."""
        return self.current if self.champion is None else self.champion

    @property
    def of_run(self) -> Judged:
        """The model that people get: the champion, or the current one where only the pretrained one
        was judged before it."""
        unjudged = self.champion is not None and not self.champion.epoch
        return self.current if unjudged else self.last_judged

    def challenger(self, verdicts: Verdicts) -> Judged:
        """The present model with more verdicts."""
        return Judged(self.current.epoch, self.current.tally.add(verdicts))

    def judge(self, verdicts: Verdicts) -> Tensors | None:
        """Take verdicts on fresh noises in; the champion's tensors where it is to come back."""
        current = self.challenger(verdicts)
        champion, tensors = self.champion, self.tensors
        if current.tally.rate is None:
            return None
        self.current, self.champion, self.tensors = current, None, None
        if champion is None or not _worse(current.tally, champion.tally):
            return None
        self.current = champion
        return tensors

    def updated(self, before: Tensors, epochs: int) -> None:
        """The model was changed, and stands after so many epochs; `before` is what it was."""
        if self.champion is None:
            self.champion, self.tensors = self.current, before
        self.current = Judged(epochs, self.current.tally.anew())

    def fill_in(self, report: Report) -> None:
        """Tell people which model is theirs, and what speaks for it."""
        model = self.of_run
        report.model_epoch = model.epoch
        report.model_good, report.model_judged = model.tally.good, model.tally.judged
        if isinstance(model.tally, Tallies):
            pairs = zip(report.by_prompt, model.tally.of_prompts, strict=True)
            report.by_prompt = [
                replace(each, model_good=tally.good, model_judged=tally.judged)
                for each, tally in pairs
            ]

    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of it beside the tensors."""
        return asdict(self.current) | {
            "champion": None if self.champion is None else asdict(self.champion)
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any], tensors: Tensors | None) -> "Standing":
        """What `facts` gave."""
        champion = facts["champion"]
        return cls(_judged(facts), None if champion is None else _judged(champion), tensors)


def _worse(challenger: AnyTally, champion: AnyTally) -> bool:
    """By its rate; where fewer than half are good, by more than a standard error."""
    if challenger.rate is None or champion.rate is None:
        return False
    now, before = by_prompt(challenger), by_prompt(champion)
    fall = now.fall(before)
    return fall > 0 if champion.rate >= HALF else fall > now.error_of_fall(before)


def _judged(facts: Mapping[str, Any]) -> Judged:
    return Judged(facts["epoch"], tally_of(facts["tally"]))


def came_back(challenger: Judged, champion: Judged) -> str:
    """A step back, for people."""
    before = (
        f"the model after epoch {champion.epoch}"
        if champion.epoch
        else "the model that the run began with"
    )
    if isinstance(challenger.tally, Tallies):
        seen = (
            f"averaged over the prompts, {challenger.tally.rate or 0:.0%} of the images from fresh "
            f"noises are good, and {champion.tally.rate or 0:.0%} were"
        )
    else:
        seen = (
            f"{challenger.tally.good} of {challenger.tally.judged} images from fresh noises are "
            f"good, and {champion.tally.good} of {champion.tally.judged} were"
        )
    return f"The last update did no good: {seen} before it. So {before} came back."
