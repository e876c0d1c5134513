"""What people's votes say of two models. Pure.

A pair goes to what most of its people said: the run's model, the other one, or no difference; where
no answer has the most votes, that is no difference either. Only pairs that have all their votes
count. The figure is the share of the run's model among the pairs that were decided, with Wilson's
95 % interval; ties are told beside it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backend.run.comparison import TIE, Comparison, PairVote
from backend.show.pictures import wilson_interval

RUN, AGAINST = "run", "against"
"""Whom a vote or a pair is for; or `TIE`."""


@dataclass(frozen=True)
class Tally:
    """How often each model was called better."""

    wins: int = 0
    """Of the run's model."""
    losses: int = 0
    ties: int = 0

    @classmethod
    def of(cls, said: Iterable[str]) -> "Tally":
        """From whom each pair is for."""
        counted = Counter(said)
        return cls(counted[RUN], counted[AGAINST], counted[TIE])

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.decided + self.ties

    @property
    def decided(self) -> int:
        """Those that are no ties."""
        return self.wins + self.losses

    @property
    def share(self) -> float | None:
        """Of the run's model among the decided pairs; None where there is none."""
        return self.wins / self.decided if self.decided else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of `share`."""
        return wilson_interval(self.wins, self.decided) if self.decided else None


@dataclass(frozen=True)
class Result:
    """A comparison and what has come of it so far."""

    comparison: Comparison
    tally: Tally
    """By pair."""
    people: dict[str, Tally]
    """Each person's own votes, by who they are."""
    by_prompt: dict[str, Tally]
    """By pair, of each prompt of several; empty where there is one."""

    @property
    def ours(self) -> str:
        """The run's model, in words."""
        epoch = self.comparison.model_epoch
        return f"the model after epoch {epoch}" if epoch else "the model that the run began with"

    @property
    def theirs(self) -> str:
        """The other model, in words."""
        other = self.comparison.against
        if other.epoch is None:
            return "the base model"
        if other.run_id == self.comparison.run_id:
            return f"what the run gave after epoch {other.epoch}"
        return f"the model of {other.run_id} after epoch {other.epoch}"

    @property
    def judged(self) -> int:
        """Pairs that have all their votes."""
        return self.tally.pairs

    @property
    def complete(self) -> bool:
        """Whether all pairs have."""
        return self.judged == self.comparison.pairs

    @property
    def verdict(self) -> str:
        """What the interval allows to say, as a sentence; empty before anything is decided."""
        interval = self.tally.interval
        if interval is None:
            return ""
        if interval[0] > 0.5:
            return f"People prefer {self.ours}."
        if interval[1] < 0.5:
            return f"People prefer {self.theirs}."
        return "These pairs do not tell which of the two is better."


def latest_votes(votes: Iterable[PairVote]) -> list[PairVote]:
    """Of each person's votes on a pair the latest that says something."""
    found: dict[tuple[int, object], PairVote] = {}
    for vote in sorted(votes, key=lambda vote: (vote.updated_at, vote.ls_id)):
        if vote.choice is not None:
            found[vote.pair, vote.annotator_id] = vote
    return list(found.values())


def meant(comparison: Comparison, vote: PairVote) -> str | None:
    """For whom a vote is: run, against or tie; None where it says nothing."""
    if vote.choice in (None, TIE):
        return vote.choice
    return RUN if vote.choice == comparison.side_of_run(vote.pair) else AGAINST


def decided(comparison: Comparison, votes: Sequence[PairVote]) -> dict[int, str]:
    """For whom each pair is that has all its votes."""
    by_pair: dict[int, list[str]] = {}
    for vote in latest_votes(votes):
        if (said := meant(comparison, vote)) is not None:
            by_pair.setdefault(vote.pair, []).append(said)
    return {
        pair: _most(said)
        for pair, said in sorted(by_pair.items())
        if len(said) >= comparison.annotators_per_pair
    }


def result_of(comparison: Comparison, votes: Sequence[PairVote]) -> Result:
    """What the votes say."""
    people: dict[str, list[str]] = {}
    for vote in latest_votes(votes):
        if (said := meant(comparison, vote)) is not None:
            people.setdefault(voter(vote), []).append(said)
    pairs = decided(comparison, votes)
    return Result(
        comparison,
        Tally.of(pairs.values()),
        {who: Tally.of(said) for who, said in sorted(people.items())},
        _by_prompt(comparison, pairs),
    )


def _by_prompt(comparison: Comparison, pairs: Mapping[int, str]) -> dict[str, Tally]:
    if len(comparison.prompts) == 1:
        return {}
    return {
        prompt: Tally.of(
            said for pair, said in pairs.items() if comparison.prompt_of(pair) == prompt
        )
        for prompt in comparison.prompts
    }


def voter(vote: PairVote) -> str:
    """Who voted."""
    return vote.annotator or (f"user {vote.annotator_id}" if vote.annotator_id else "somebody")


def _most(said: Sequence[str]) -> str:
    (first, most), *others = Counter(said).most_common()
    return TIE if others and others[0][1] == most else first
