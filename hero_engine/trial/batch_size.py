"""How many latents go through the network at once: the fastest number that fits into memory."""

from collections.abc import Callable
from dataclasses import dataclass

GAIN = 0.95
"""A larger pass is worth its memory if a latent takes less than this share of the time."""
MEMORY_MARGIN = 0.8
"""Share of the free memory that a pass may take."""
LONGEST_SEARCH_SECONDS = 5.0
"""A larger pass that would make the search longer than this, on an idle machine, is not tried."""
FIRST_SIZE = 2


@dataclass(frozen=True)
class Pass:
    """A pass that was tried."""

    size: int
    seconds: float
    busy_seconds: float
    """In which the device was at work on it, as far as that can be told from waiting for others."""
    grown_bytes: int
    """Memory at its peak, on top of what was in use before."""

    @property
    def seconds_each(self) -> float:
        """Of one latent."""
        return self.seconds / self.size

    def is_faster_than(self, other: "Pass") -> bool:
        """By the clock, or by the work: on a busy machine a short pass may slip through between
        other programs, and look faster than it is."""
        return (
            self.seconds_each < GAIN * other.seconds_each
            or self.busy_seconds / self.size < GAIN * other.busy_seconds / other.size
        )


class DoesNotFit(MemoryError):
    """The pass took more memory than there is."""


def even_sizes(whole: int) -> list[int]:
    """The sizes that split a whole into 1, 2, 4, 8, ... parts as even as they can be, ascending.

    >>> even_sizes(40)
    [1, 2, 3, 5, 10, 20, 40]
    """
    sizes, parts = {1}, 1
    while parts < whole:
        sizes.add(-(-whole // parts))
        parts *= 2
    return sorted(sizes)


def find(whole: int, attempt: Callable[[int], Pass], free_bytes: int) -> Pass:
    """The fastest pass to split `whole` latents into, the smaller one of two that are alike.

    All are tried, from two latents upwards, that fit by the memory that the one before took and do
    not take too long.

    If not even two latents fit, one is tried; what that raises is the caller's.
    """
    sizes = even_sizes(whole)
    start = next((place for place, size in enumerate(sizes) if size >= FIRST_SIZE), 0)
    best = None
    try:
        best = attempt(sizes[start])
    except DoesNotFit:
        if start == 0:
            raise
    if best is None:  # outside of the handler, which holds on to what did not fit
        return attempt(sizes[start - 1])
    last, spent = best, best.busy_seconds
    for size in sizes[start + 1 :]:
        expected = last.busy_seconds * size / last.size
        grown = last.grown_bytes * size / last.size
        if grown > MEMORY_MARGIN * free_bytes or spent + expected > LONGEST_SEARCH_SECONDS:
            break
        try:
            last = attempt(size)
        except DoesNotFit:
            break
        spent += last.busy_seconds
        if last.is_faster_than(best):
            best = last
    return best
