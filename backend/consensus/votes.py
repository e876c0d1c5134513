"""Which annotations are votes that count."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol, TypeVar

from backend.run.labelling import Labelling

GOOD, BAD, BEST = "good", "bad", "best"
VALUES = (GOOD, BAD, BEST)


class Vote(Protocol):
    """What is read of an annotation."""

    @property
    def ls_id(self) -> int:
        """Label Studio's id of the annotation."""
        ...

    @property
    def epoch(self) -> int:
        """The image's epoch."""
        ...

    @property
    def index(self) -> int:
        """The image's place in its epoch."""
        ...

    @property
    def annotator_id(self) -> int | None:
        """Label Studio's id of the person; None where their account is gone."""
        ...

    @property
    def annotator(self) -> str | None:
        """The person's e-mail address, where it is known."""
        ...

    @property
    def value(self) -> str | None:
        """good, bad, best; None for a skip or an unknown value."""
        ...

    @property
    def updated_at(self) -> datetime:
        """When it was made or changed last."""
        ...

    @property
    def deleted(self) -> bool:
        """Whether it is gone from Label Studio."""
        ...

    @property
    def pick(self) -> bool:
        """Whether it answers which image is the best, and says nothing else of its image."""
        ...


V = TypeVar("V", bound=Vote)


def person_of(vote: Vote) -> str:
    """Who voted. Votes without an account are one person's: no two can be shown to be different."""
    if vote.annotator_id is not None:
        return f"user {vote.annotator_id}"
    return (vote.annotator or "").lower() or "somebody unknown"


def name_of(vote: Vote) -> str:
    """Who voted, for people: the e-mail address where it is known."""
    return vote.annotator or person_of(vote)


def is_good(vote: Vote) -> bool:
    """Whether a vote that counts calls its image good; the best one is good."""
    return vote.value in (GOOD, BEST)


def latest_votes(votes: Iterable[V], labelling: Labelling | None = None) -> list[V]:
    """The votes that count: of each person and image the latest, if they may vote and it says so.

    A deleted annotation does not count; a skip, or a value that is none of ours, takes the same
    person's earlier vote back.
    """
    labelling = labelling or Labelling()
    latest: dict[tuple[str, int, int], V] = {}
    for vote in votes:
        if vote.deleted or vote.pick or not labelling.may_vote(vote.annotator):
            continue
        key = (person_of(vote), vote.epoch, vote.index)
        known = latest.get(key)
        if known is None or _moment(vote) > _moment(known):
            latest[key] = vote
    counting = [vote for vote in latest.values() if vote.value in VALUES]
    return sorted(counting, key=lambda vote: (vote.epoch, vote.index, person_of(vote)))


def latest_picks(votes: Iterable[V], labelling: Labelling | None = None) -> list[V]:
    """What each person who may vote answered last, asked which image of an epoch is the best."""
    labelling = labelling or Labelling()
    latest: dict[tuple[str, int], V] = {}
    for vote in votes:
        if not vote.pick or vote.deleted or vote.value != BEST:
            continue
        if not labelling.may_vote(vote.annotator):
            continue
        key = (person_of(vote), vote.epoch)
        known = latest.get(key)
        if known is None or _moment(vote) > _moment(known):
            latest[key] = vote
    return list(latest.values())


def last_words(votes: Iterable[V], labelling: Labelling) -> dict[tuple[int, int], V]:
    """The adjudicators' last vote on each image that they judged, by epoch and index."""
    ours = [vote for vote in votes if labelling.adjudicates(vote.annotator)]
    return {(vote.epoch, vote.index): vote for vote in sorted(ours, key=_moment)}


def latest_bests(votes: Iterable[V]) -> list[V]:
    """Each person's choice of the best image: of several in an epoch the latest.

    Who sees one image after the other finds a better one later; the earlier choices are good.
    """
    chosen: dict[tuple[str, int], V] = {}
    for vote in votes:
        if vote.value != BEST:
            continue
        key = (person_of(vote), vote.epoch)
        known = chosen.get(key)
        if known is None or (_moment(vote), -vote.index) > (_moment(known), -known.index):
            chosen[key] = vote
    return list(chosen.values())


def _moment(vote: Vote) -> tuple[datetime, int]:
    return vote.updated_at, vote.ls_id
