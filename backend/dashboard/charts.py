"""The curves of a run, each with the numbers it is drawn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from backend.dashboard.epochs import EpochFacts
from backend.dashboard.facts import RunFacts
from backend.show import plots
from backend.show.plots import Colour, Series

Known = TypeVar("Known")

OF_VERDICTS: dict[str, Colour] = {"good": "good", "bad": "bad"}
"""The lines that are drawn in a verdict's colour, by name."""


@dataclass(frozen=True)
class Chart:
    """A curve, a sentence about it, and its table for those who do not see it."""

    title: str
    about: str
    svg: str
    wide_svg: str | None
    """For wide pages, where the curve deserves it."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def success(facts: RunFacts) -> Chart | None:
    """Success per epoch with its confidence interval; None before anything is judged."""
    epochs = facts.closed
    if not epochs:
        return None
    spans = _by_epoch(epochs, lambda epoch: epoch.interval)
    series = Series(
        "judged good",
        "good",
        _by_epoch(epochs, lambda epoch: epoch.rate),
        tuple(span and span[0] for span in spans),
        tuple(span and span[1] for span in spans),
    )
    first, last = epochs[0], epochs[-1]
    label = (
        f"Share of images judged good: {first.rate:.0%} in epoch {first.number}"
        + (f", {last.rate:.0%} in epoch {last.number}" if last is not first else "")
        + "."
    )
    narrow, wide = (
        plots.curve(
            (series,),
            label=label,
            epochs=facts.run.epochs,
            unit="percent",
            limits=(0, 1.12),
            size=size,
            labelled=facts.run.epochs <= 16,
        )
        for size in (plots.NARROW, plots.WIDE)
    )
    return Chart(
        "Success",
        "Share of the judged images that were called good. The band is its 95 % interval (Wilson): "
        "about where the share would lie with many more images.",
        narrow,
        wide,
        ("epoch", "good", "judged", "share", "95 % interval"),
        tuple(
            (
                f"{epoch.number}",
                f"{epoch.good}",
                f"{epoch.judged}",
                f"{epoch.rate:.0%}",
                "{:.0%} to {:.0%}".format(*epoch.interval) if epoch.interval else "",
            )
            for epoch in epochs
        ),
    )


def learning(facts: RunFacts) -> list[Chart]:
    """What the updates did; a curve without any value is left out."""
    found = (
        _of(
            facts,
            "Rewards",
            f"Means over the good and over the bad images: {facts.reward}."
            + ("" if facts.rewards_teach else " This run learns from the verdicts alone."),
            {"good": "reward_good", "bad": "reward_bad"},
        ),
        _of(
            facts,
            "Embedding loss",
            "Triplet loss (Eq. 3) at the end of the epoch's training.",
            {"loss": "embedding_loss"},
            from_zero=True,
        ),
        _of(
            facts,
            "Policy loss",
            f"Mean of {facts.loss}.",
            {"loss": "loss"},
        ),
        _of(
            facts,
            "Denoising loss",
            "Mean loss of the denoising steps on images that people have judged.",
            {"loss": "denoising_loss"},
            from_zero=True,
        ),
        _of(
            facts,
            "Clip fraction",
            "Share of the importance ratios that were clipped.",
            {"clipped": "clip_fraction"},
            unit="percent",
            from_zero=True,
        ),
        _of(
            facts,
            "Diversity",
            "Mean distance of two clean latents of the batch: falls when all images look alike.",
            {"diversity": "diversity"},
            from_zero=True,
        ),
        _of(
            facts,
            "Gradient norm",
            "Mean norm of the gradients, before they are scaled down.",
            {"norm": "grad_norm"},
            from_zero=True,
        ),
    )
    return [chart for chart in found if chart is not None]


def _of(
    facts: RunFacts,
    title: str,
    about: str,
    figures: dict[str, str],
    *,
    unit: plots.Unit = "number",
    from_zero: bool = False,
) -> Chart | None:
    epochs = [e for e in facts.epochs if any(e.figure(f) is not None for f in figures.values())]
    if not epochs:
        return None
    series = tuple(
        Series(
            name,
            OF_VERDICTS.get(name, "accent"),
            _figures(epochs, figure),
        )
        for name, figure in figures.items()
    )
    largest = max(v for line in series for v in line.values if v is not None)
    svg = plots.curve(
        series,
        label=f"{title} by epoch. {about}",
        epochs=facts.run.epochs,
        unit=unit,
        limits=(0, 1.15 * largest or 1) if from_zero else None,
    )
    form = "{:.1%}" if unit == "percent" else "{:+.3g}" if len(series) > 1 else "{:.3g}"
    rows = tuple(
        (f"{epoch.number}", *(_written(epoch.figure(f), form) for f in figures.values()))
        for epoch in epochs
    )
    return Chart(title, about, svg, None, ("epoch", *figures), rows)


def _by_epoch(
    epochs: Sequence[EpochFacts], of: Callable[[EpochFacts], Known | None]
) -> tuple[Known | None, ...]:
    known = {epoch.number: of(epoch) for epoch in epochs}
    return tuple(known.get(number) for number in range(1, max(known) + 1))


def _figures(epochs: Sequence[EpochFacts], figure: str) -> tuple[float | None, ...]:
    return _by_epoch(epochs, lambda epoch: epoch.figure(figure))


def _written(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
