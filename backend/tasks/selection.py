"""Which images people are asked about, and in which order (beyond the paper). Pure.

From the second epoch on the embedding has an opinion of every image before anybody has seen it:
Eq. 4's similarity to the best image so far. Near the threshold between good and bad it is unsure.
"""

from collections.abc import Iterable, Sequence

from backend.run.labelling import Order

LIKELY_BESTS_SHARE = 0.25
"""Share of a label budget that goes to the images most like the best so far."""


def choose(predictions: Sequence[float | None], threshold: float, budget: int | None) -> list[int]:
    """The images that people are asked about: likely bests, then those that are least sure.

    Args:
        predictions: similarity to the best so far, in [-1, 1], by index; None before the first
            update, and then everything is asked.
        threshold: the similarity from which an image is taken for good.
        budget: number of images to ask about; None for all.

    Returns:
        Their indexes, in ascending order.
    """
    everything = list(range(len(predictions)))
    known = _known(predictions)
    if budget is None or budget >= len(predictions) or known is None:
        return everything
    likely = sorted(everything, key=lambda i: (-known[i], i))[
        : max(1, round(LIKELY_BESTS_SHARE * budget))
    ]
    others = sorted(set(everything) - set(likely), key=lambda i: (abs(known[i] - threshold), i))
    return sorted([*likely, *others[: budget - len(likely)]])


def arrange(
    indexes: Iterable[int], predictions: Sequence[float | None], threshold: float, order: Order
) -> list[int]:
    """The order in which people see the images."""
    indexes = sorted(indexes)
    known = _known(predictions)
    if order == "sequential" or known is None:
        return indexes
    if order == "best-first":
        return sorted(indexes, key=lambda i: (-known[i], i))
    return sorted(indexes, key=lambda i: (abs(known[i] - threshold), i))


def _known(predictions: Sequence[float | None]) -> list[float] | None:
    known = [value for value in predictions if value is not None]
    return known if len(known) == len(predictions) else None
