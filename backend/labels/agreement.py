"""How far the people who label a run agree, and how each of them labels. Pure.

Of the votes that counted: in a closed epoch those it learned from, in the open one those there are.
A figure that cannot be said is None, never NaN.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import combinations
from statistics import median
from typing import Any

from backend.consensus import (
    BAD,
    BEST,
    GOOD,
    is_good,
    last_words,
    latest_votes,
    name_of,
    person_of,
)
from backend.labels.doubts import doubts
from backend.run.labelling import Labelling
from backend.run.records import Annotation, Epoch

Judgements = Sequence[tuple[Any, str, str]]
"""What was judged, by whom, and as what; a person judges a thing once."""


@dataclass(frozen=True)
class Person:
    """One annotator's part."""

    name: str
    """E-mail address, where it is known."""
    images: int
    """Number of images judged."""
    good: int
    """Of them called good; the best ones are good as well."""
    bad: int
    best: int
    reliability: float | None
    """Estimated share of right votes over the whole run (Dawid & Skene); None where no image was
    judged by two people."""
    seconds_per_image: float | None
    """Median; a gallery page's time is shared out among its images."""
    bests_taken: float | None
    """Share of the epochs' best images that this person had chosen; None before the first."""
    too_quick: int
    """Number of images judged so quickly that a program may have done it: see `doubts`."""


@dataclass(frozen=True)
class Agreement:
    """Of one epoch or of a whole run."""

    images: int
    """Number of images that somebody judged."""
    compared: int
    """Number of images that two or more people judged."""
    differing: int
    """Of them those on which good stands against bad."""
    alpha: float | None
    """Krippendorff's alpha of good, bad and best (nominal); None where nothing is compared,
    or all said the same."""
    alpha_good_bad: float | None
    """Krippendorff's alpha of good (best is good too) and bad."""
    percent: float | None
    """Share of all pairs of votes on the same image that say the same of good, bad and best."""
    percent_good_bad: float | None
    """The same of good and bad."""
    people: tuple[Person, ...]
    """By name."""

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return asdict(self)


@dataclass(frozen=True)
class RunAgreement:
    """Of a run, and of each of its epochs by number (0-based) in which somebody voted."""

    run: Agreement
    epochs: dict[int, Agreement]

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; its epochs count from 1."""
        return {
            "run": self.run.to_dict(),
            "epochs": {str(n + 1): epoch.to_dict() for n, epoch in self.epochs.items()},
        }


def of_run(
    annotations: Iterable[Annotation], epochs: Iterable[Epoch], labelling: Labelling
) -> RunAgreement:
    """The agreement in a run, from all its annotations and epochs."""
    annotations, epochs = list(annotations), list(epochs)
    closed = {epoch.epoch for epoch in epochs if epoch.labelled_at is not None}
    votes = counted(annotations, closed, labelling)
    bests = {(epoch.epoch, index) for epoch in epochs for index in epoch.bests}
    reliability = _reliability(votes, labelling)
    shares = _shares(votes)
    quick = {number for number, why in doubts(annotations, labelling).items() if why == "too quick"}
    numbers = sorted({vote.epoch for vote in votes})
    return RunAgreement(
        run=_agreement(votes, bests, reliability, shares, quick),
        epochs={
            number: _agreement(
                [vote for vote in votes if vote.epoch == number],
                {best for best in bests if best[0] == number},
                reliability,
                shares,
                quick,
            )
            for number in numbers
        },
    )


def counted(
    annotations: Iterable[Annotation], closed: Collection[int], labelling: Labelling
) -> list[Annotation]:
    """The votes that counted: those frozen with a closed epoch, the latest ones of an open one."""
    annotations = list(annotations)
    frozen = [row for row in annotations if row.epoch in closed and row.frozen and not row.pick]
    present = [row for row in annotations if row.epoch not in closed]
    return [*frozen, *latest_votes(present, labelling)]


def alpha(judgements: Judgements) -> float | None:
    """Krippendorff's alpha for nominal values.

    None where no two people judged the same thing, and where all said the same throughout: without
    variation agreement cannot be told from chance. Remembers its last answers: a run page asks for
    two an epoch with every look, and only a new vote changes any.
    """
    by_thing: dict[Any, list[str]] = defaultdict(list)
    for thing, _, value in judgements:
        by_thing[thing].append(value)
    compared = {thing: values for thing, values in by_thing.items() if len(values) > 1}
    if not compared:
        return None
    if len({value for values in compared.values() for value in values}) == 1:
        return None
    return _alpha(tuple(row for row in judgements if row[0] in compared))


@lru_cache(maxsize=128)
def _alpha(judgements: tuple[tuple[Any, str, str], ...]) -> float:
    import pandas as pd
    from crowdkit.metrics.data import alpha_krippendorff

    table = pd.DataFrame(list(judgements), columns=["task", "worker", "label"])
    return float(alpha_krippendorff(table))


def percent(judgements: Judgements) -> float | None:
    """Share of the pairs of judgements of the same thing that are equal; None if there is none."""
    by_thing: dict[Any, list[str]] = defaultdict(list)
    for thing, _, value in judgements:
        by_thing[thing].append(value)
    pairs = [pair for values in by_thing.values() for pair in combinations(values, 2)]
    return sum(one == other for one, other in pairs) / len(pairs) if pairs else None


def _agreement(
    votes: Sequence[Annotation],
    bests: Collection[tuple[int, int | None]],
    reliability: dict[str, float],
    shares: Counter[int],
    quick: Collection[int],
) -> Agreement:
    three = [((v.epoch, v.index), person_of(v), str(v.value)) for v in votes]
    two = [(thing, who, BAD if value == BAD else GOOD) for thing, who, value in three]
    by_image: dict[Any, list[str]] = defaultdict(list)
    for thing, _, value in two:
        by_image[thing].append(value)
    of_person: dict[str, list[Annotation]] = defaultdict(list)
    for vote in votes:
        of_person[person_of(vote)].append(vote)
    people = [
        _person(mine, bests, reliability.get(who), shares, quick) for who, mine in of_person.items()
    ]
    return Agreement(
        images=len(by_image),
        compared=sum(len(values) > 1 for values in by_image.values()),
        differing=sum(len(set(values)) > 1 for values in by_image.values()),
        alpha=alpha(three),
        alpha_good_bad=alpha(two),
        percent=percent(three),
        percent_good_bad=percent(two),
        people=tuple(sorted(people, key=lambda person: person.name)),
    )


def _person(
    votes: Sequence[Annotation],
    bests: Collection[tuple[int, int | None]],
    reliability: float | None,
    shares: Counter[int],
    quick: Collection[int],
) -> Person:
    values = Counter(vote.value for vote in votes)
    chosen = {(vote.epoch, vote.index) for vote in votes if vote.value == BEST}
    seconds = [vote.lead_time / shares[vote.ls_id] for vote in votes if vote.lead_time is not None]
    return Person(
        name=next((vote.annotator for vote in votes if vote.annotator), name_of(votes[0])),
        images=len(votes),
        good=sum(map(is_good, votes)),
        bad=values[BAD],
        best=values[BEST],
        reliability=reliability,
        seconds_per_image=median(seconds) if seconds else None,
        bests_taken=len(chosen & set(bests)) / len(bests) if bests else None,
        too_quick=sum(vote.ls_id in quick for vote in votes),
    )


def _shares(votes: Iterable[Annotation]) -> Counter[int]:
    """Number of images that each annotation of Label Studio's judges."""
    return Counter(vote.ls_id for vote in votes)


def _reliability(votes: Sequence[Annotation], labelling: Labelling) -> dict[str, float]:
    people: dict[tuple[int, int], set[str]] = defaultdict(set)
    for vote in votes:
        people[vote.epoch, vote.index].add(person_of(vote))
    overlapping = {who for judges in people.values() if len(judges) > 1 for who in judges}
    if not overlapping:
        return {}
    from backend.consensus.reliability import fit

    truth = {place: is_good(vote) for place, vote in last_words(votes, labelling).items()}
    accuracy = fit(votes, truth).accuracy
    return {who: accuracy[who] for who in overlapping}
