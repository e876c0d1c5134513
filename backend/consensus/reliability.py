"""How reliable each person is, and with which probability an image is good (Dawid & Skene, 1979).

Expectation maximisation begins at the majority, so that good and bad keep their names. By itself it
still runs into degenerate fits on the few hundred votes of a run: one person is believed in
everything, or nearly every image is good. So everybody begins with the same few imagined
images whose truth is known and of which they judged three quarters right: a prior that a real
annotator's votes outweigh within an epoch, an adversary's too.

The share of good images is each epoch's own: it grows from a third to nearly all in a run, and
where nearly all are good one vote for good can be likelier right than two against it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from backend.consensus.votes import BAD, GOOD, Vote, is_good, person_of

IMAGINED, IMAGINED_RIGHT = 8, 6
"""Imagined good images, and as many bad ones; of each kind the number judged right."""
ITERATIONS, TOLERANCE = 50, 1e-4
"""Until the evidence of a vote grows by less. In simulations 7 iterations on average, 26 at most;
going on to 1e-5 takes twice as long and gives no better verdicts."""
SHARE_TOLERANCE = 1e-4

Place = tuple[int, int]
"""Epoch and index of an image."""


@dataclass(frozen=True)
class Reliability:
    """What was learned from all votes of a run."""

    probability: dict[Place, float]
    """That an image is good."""
    accuracy: dict[str, float]
    """Of each person (`person_of`): the share of their votes that are right, as estimated."""


def fit(votes: Iterable[Vote], truth: Mapping[Place, bool]) -> Reliability:
    """Estimate what is good, and who is right how often.

    Remembers its last answers: a second's work on a run of eight epochs, which the live screens ask
    for again and again between two votes.

    Args:
        votes: all that count, at least one.
        truth: whether an image is good, where an adjudicator said so.
    """
    cast = {((vote.epoch, vote.index), person_of(vote), is_good(vote)) for vote in votes}
    return _fit(tuple(sorted(cast)), tuple(sorted(truth.items())))


@lru_cache(maxsize=8)
def _fit(
    votes: tuple[tuple[Place, str, bool], ...], truth: tuple[tuple[Place, bool], ...]
) -> Reliability:
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    people = sorted({person for _, person, _ in votes})
    rows = [(_task(place), person, _word(good)) for place, person, good in votes]
    known = {_task(place): _word(good) for place, good in truth}
    for kind in (True, False):
        for number in range(IMAGINED):
            task = f"{_word(kind)} {number}"
            known[task] = _word(kind)
            word = _word(kind == (number < IMAGINED_RIGHT))
            rows += [(task, person, word) for person in people]
    table = pd.DataFrame(rows, columns=["task", "worker", "label"])
    model = DawidSkene(ITERATIONS, tol=TOLERANCE).fit(table, true_labels=pd.Series(known))
    assert model.errors_ is not None
    errors = model.errors_.to_dict("index")
    evidence: dict[int, dict[Place, float]] = {}
    for place, person, said_good in votes:
        said = errors[person, _word(said_good)]
        epoch = evidence.setdefault(place[0], {})
        epoch[place] = epoch.get(place, 0.0) + math.log(said[GOOD] / said[BAD])
    probability: dict[Place, float] = {}
    for epoch in evidence.values():
        probability |= _probability(epoch, dict(truth))
    right: dict[str, list[float]] = {person: [] for person in people}
    for place, person, said_good in votes:
        chance = probability[place]
        right[person].append(chance if said_good else 1 - chance)
    return Reliability(
        probability=probability,
        accuracy={person: sum(chances) / len(chances) for person, chances in right.items()},
    )


def _probability(
    evidence: Mapping[Place, float], truth: Mapping[Place, bool]
) -> dict[Place, float]:
    """That each image of an epoch is good, by the log-odds that its votes speak for.

    Expectation maximisation of the share of good images, with one imagined good and one bad image.
    """
    share, before = 0.5, 0.0
    good: dict[Place, float] = {}
    while abs(share - before) > SHARE_TOLERANCE:
        prior = math.log(share / (1 - share))
        good = {
            place: float(truth[place]) if place in truth else _logistic(prior + said)
            for place, said in evidence.items()
        }
        before, share = share, (sum(good.values()) + 1) / (len(good) + 2)
    return good


def _logistic(log_odds: float) -> float:
    return (1 + math.tanh(log_odds / 2)) / 2


def _word(good: bool) -> str:
    return GOOD if good else BAD


def _task(place: Place) -> str:
    return f"{place[0]}/{place[1]}"
