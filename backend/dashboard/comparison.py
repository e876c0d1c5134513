"""Several runs beside each other: their success in one plot, and the same noises. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.dashboard.facts import RunFacts, Samples
from backend.dashboard.overview import method_of
from backend.errors import BadInput
from backend.show import plots
from backend.show.plots import Colour, Series

COLOURS: tuple[Colour, ...] = ("line-1", "line-2", "line-3", "line-4")
LETTERS = "ABCD"


@dataclass(frozen=True)
class Compared:
    """A run among others."""

    letter: str
    colour: Colour
    facts: RunFacts

    @property
    def method(self) -> str:
        """What learns from the labels."""
        return method_of(self.facts.run)

    @property
    def model(self) -> str:
        """Which model it teaches."""
        return str(self.facts.run.config.get("model", ""))

    @property
    def rows(self) -> tuple[Samples, ...]:
        """What it drew before, and what it draws now."""
        samples = self.facts.samples
        return (samples[0], samples[-1]) if len(samples) > 1 else samples


@dataclass(frozen=True)
class Comparison:
    """The runs, and the plot of them all."""

    runs: tuple[Compared, ...]
    narrow: str
    wide: str

    @property
    def same_noises(self) -> bool:
        """Whether the rows of all begin with the same noises: those of one model do."""
        return len({each.model for each in self.runs}) == 1


def compare(runs: Sequence[RunFacts]) -> Comparison:
    """Two to four runs, each of them once.

    Raises:
        BadInput: fewer or more.
    """
    found = tuple({facts.run.id: facts for facts in runs}.values())
    if not 2 <= len(found) <= len(COLOURS):
        raise BadInput(
            f"Cannot compare {len(found)} run{'' if len(found) == 1 else 's'}: choose two to "
            f"{len(COLOURS)} of them on the list of runs."
        )
    compared = tuple(
        Compared(letter, colour, facts)
        for letter, colour, facts in zip(LETTERS, COLOURS, found, strict=False)
    )
    narrow, wide = (_plot(compared, size) for size in (plots.NARROW, plots.WIDE))
    return Comparison(compared, narrow, wide)


def _plot(compared: Sequence[Compared], size: tuple[int, int]) -> str:
    return plots.curve(
        tuple(_series(each) for each in compared),
        label="Share of images judged good, by epoch: "
        + "; ".join(f"{each.letter}: {each.facts.view.success}" for each in compared),
        epochs=max(each.facts.run.epochs for each in compared),
        unit="percent",
        limits=(0, 1.05),
        size=size,
    )


def _series(each: Compared) -> Series:
    known = {epoch.number: epoch for epoch in each.facts.closed}
    numbers = range(1, max(known, default=0) + 1)
    spans = [known[number].interval if number in known else None for number in numbers]
    return Series(
        each.letter,
        each.colour,
        tuple(known[number].rate if number in known else None for number in numbers),
        tuple(span[0] if span else None for span in spans),
        tuple(span[1] if span else None for span in spans),
    )
