"""How the votes on an image become good or bad, where they differ: policies by name.

Where all agree there is nothing to decide, so a policy is asked about the images with differing
votes alone, and crowd-kit (whose import takes seconds) is needed for those alone.
"""

from collections.abc import Callable, Mapping, Sequence

from backend.consensus.votes import BAD, GOOD, Vote, is_good, person_of
from backend.run.labelling import Policy

Split = Mapping[int, Sequence[Vote]]
"""The votes on the images whose votes differ, by index."""
Known = Sequence[Vote]
"""All votes that count, of this epoch and of those before it."""
Truth = Mapping[tuple[int, int], bool]
"""Whether an image is good, by epoch and index, where an adjudicator said so."""
Judged = dict[int, tuple[bool, str]]
"""By index: whether the image is good, and why."""


def majority(split: Split, known: Known, truth: Truth) -> Judged:
    """More than half of the votes; ties are bad."""
    import pandas as pd
    from crowdkit.aggregation import MajorityVote

    rows = [(i, person_of(v), GOOD if is_good(v) else BAD) for i in split for v in split[i]]
    table = pd.DataFrame(rows, columns=["task", "worker", "label"])
    share = MajorityVote().fit_predict_proba(table)[GOOD]
    judged = {}
    for index, votes in split.items():
        good = float(share[index])
        tie = ", a tie counts as bad" if good == 0.5 else ""
        judged[index] = good > 0.5, f"{tally(votes)}{tie}"
    return judged


def any_good(split: Split, known: Known, truth: Truth) -> Judged:
    """One vote for good suffices."""
    return {index: (True, f"{tally(votes)}, one suffices") for index, votes in split.items()}


def all_good(split: Split, known: Known, truth: Truth) -> Judged:
    """One vote for bad suffices."""
    return {index: (False, f"{tally(votes)}, all are needed") for index, votes in split.items()}


def dawid_skene(split: Split, known: Known, truth: Truth) -> Judged:
    """Votes weighted by how reliable each person proved over the run (see `reliability.py`)."""
    from backend.consensus.reliability import fit

    probability = fit(known, truth).probability
    judged = {}
    for index, votes in split.items():
        good = probability[votes[0].epoch, index]
        judged[index] = good > 0.5, f"{tally(votes)}, good with probability {good:.2f}"
    return judged


POLICIES: dict[Policy, Callable[[Split, Known, Truth], Judged]] = {
    "majority": majority,
    "any-good": any_good,
    "all-good": all_good,
    "dawid-skene": dawid_skene,
}


def tally(votes: Sequence[Vote]) -> str:
    """The votes in words."""
    return f"{sum(map(is_good, votes))} of {len(votes)} good"
