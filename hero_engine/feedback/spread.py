"""How a batch is spread over the prompts of a run: more images where success is low."""

from collections.abc import Sequence
from math import floor

from hero_engine.feedback.evidence import Tally

LEAST = 2
"""Images of each prompt in a batch, at least."""


def need(tally: Tally) -> float:
    """The expected share of bad images: (bad + 1) / (judged + 2), the rule of succession, so that
    few verdicts do not say all or nothing."""
    return 1.0 - (tally.good + 1) / (tally.judged + 2)


def spread(n: int, tallies: Sequence[Tally]) -> list[int]:
    """How many of a batch of n images each prompt gets.

    First each gets a quarter of an even share, and two at least. The rest goes to the prompts in
    proportion to `need`, by the latest verdicts on their images from N(0, I); fractions go to those
    with the largest ones, the earlier prompt first.

    64 images for two prompts of which 14 of 16 and 6 of 16 are good: 8 each, and of the other 48
    3 / 14 and 11 / 14, which is 10.3 and 37.7: 18 and 46 in all.
    """
    least = max(LEAST, n // (4 * len(tallies)))
    return [least + more for more in shared(n - least * len(tallies), [*map(need, tallies)])]


def shared(n: int, weights: Sequence[float]) -> list[int]:
    """n things in proportion to the weights, by largest remainders."""
    exact = [n * weight / sum(weights) for weight in weights]
    counts = [floor(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for number in by_remainder[: n - sum(counts)]:
        counts[number] += 1
    return counts
