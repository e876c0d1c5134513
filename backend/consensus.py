"""Many annotators' labels -> one verdict an image, and one best image an epoch. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

GOOD, BAD, BEST = "good", "bad", "best"
VALUES = (GOOD, BAD, BEST)


class Vote(Protocol):
    """What is read of an annotation."""

    ls_id: int
    index: int
    annotator_id: int | None
    value: str | None
    updated_at: datetime
    deleted: bool


@dataclass(frozen=True)
class Decision:
    """The verdicts of an epoch."""

    verdicts: tuple[str | None, ...]
    """good, bad or best an image; None where nobody judged it. At most one is best."""
    reasons: tuple[str, ...]
    best_index: int | None
    best_reason: str

    @property
    def labelled(self) -> int:
        """Number of images with a verdict."""
        return sum(verdict is not None for verdict in self.verdicts)

    @property
    def complete(self) -> bool:
        """Every image has a verdict, and there is a best one or nothing good to choose from."""
        if self.labelled < len(self.verdicts):
            return False
        return self.best_index is not None or all(verdict == BAD for verdict in self.verdicts)


def latest_votes(annotations: Iterable[Vote]) -> list[Vote]:
    """The annotations that count: of each person and image the latest, if it has a value.

    A person's deleted annotations do not count; a skip takes their earlier label back.
    """
    latest: dict[tuple[object, int], Vote] = {}
    for vote in annotations:
        if vote.deleted:
            continue
        person = ("nobody", vote.ls_id) if vote.annotator_id is None else vote.annotator_id
        key = (person, vote.index)
        known = latest.get(key)
        if known is None or (vote.updated_at, vote.ls_id) > (known.updated_at, known.ls_id):
            latest[key] = vote
    return [vote for vote in latest.values() if vote.value in VALUES]


def majority(values: Sequence[str]) -> tuple[str | None, str]:
    """The verdict of one image and its reason: good (or best) against bad, ties are bad."""
    if not values:
        return None, "nobody judged it"
    good = sum(value != BAD for value in values)
    verdict = GOOD if 2 * good > len(values) else BAD
    tie = ", a tie counts as bad" if 2 * good == len(values) else ""
    return verdict, f"{good} of {len(values)} good{tie}"


def choose_best(votes: Sequence[Sequence[str]]) -> tuple[int | None, str]:
    """The best image and the reason: most best-votes, then share of good votes, then first.

    Args:
        votes: the values given to each image, by index.
    """
    counts = [values.count(BEST) for values in votes]
    most = max(counts, default=0)
    if most == 0:
        return None, "nobody chose a best image"
    leaders = [index for index, count in enumerate(counts) if count == most]
    if len(leaders) == 1:
        return leaders[0], f"most best-votes ({most})"
    shares = {i: sum(v != BAD for v in votes[i]) / len(votes[i]) for i in leaders}
    top = max(shares.values())
    leaders_by_share = [index for index in leaders if shares[index] == top]
    tied = f"{len(leaders)} images with {most} best-vote{'s' if most > 1 else ''} each"
    if len(leaders_by_share) == 1:
        return leaders_by_share[0], f"largest share of good votes ({top:.0%}) of {tied}"
    return leaders_by_share[0], f"the first of {tied} and equal shares of good votes"


def decide(annotations: Iterable[Vote], images: int) -> Decision:
    """The verdicts of an epoch of `images` images; the best one counts as good."""
    votes: list[list[str]] = [[] for _ in range(images)]
    for vote in latest_votes(annotations):
        if 0 <= vote.index < images and vote.value is not None:
            votes[vote.index].append(vote.value)
    judged = [majority(values) for values in votes]
    best_index, best_reason = choose_best(votes)
    verdicts = [verdict for verdict, _ in judged]
    if best_index is not None:
        verdicts[best_index] = BEST
    return Decision(tuple(verdicts), tuple(reason for _, reason in judged), best_index, best_reason)
