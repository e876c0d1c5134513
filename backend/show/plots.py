"""Curves as SVG that takes its colours from the page it stands in (light or dark). Pure.

matplotlib is loaded when the first curve is drawn; a curve drawn before is not drawn again.
"""

import io
import math
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Unit = Literal["percent", "number"]
Value = float | None
Colour = Literal["good", "bad", "accent", "ink", "line-1", "line-2", "line-3", "line-4"]

WIDE, NARROW = (760, 330), (380, 250)
"""Width and height in CSS pixels; text keeps its size, so a narrow page needs a narrow figure."""

_INK, _FAINT, _RULE = "#010203", "#040506", "#070809"
_STANDS_FOR = {
    _INK: "ink",
    _FAINT: "faint",
    _RULE: "rule",
    "#0a0b01": "good",
    "#0a0b02": "bad",
    "#0a0b03": "accent",
    **{f"#0a0c0{number}": f"line-{number}" for number in range(1, 5)},
}
"""Colours that matplotlib draws with, and the page's CSS variables that replace them."""
_COLOURS = {name: colour for colour, name in _STANDS_FOR.items()}
_DPI = 72
_TURN = threading.Lock()
"""matplotlib's settings belong to the whole process, and the server has several threads."""


@dataclass(frozen=True)
class Series:
    """One line: a value an epoch, None where there is none; a band where `low` and `high` are."""

    name: str
    colour: Colour
    values: tuple[Value, ...]
    low: tuple[Value, ...] = ()
    high: tuple[Value, ...] = ()


@lru_cache(maxsize=256)
def curve(
    series: tuple[Series, ...],
    *,
    label: str,
    epochs: int,
    unit: Unit = "number",
    limits: tuple[float, float] | None = None,
    size: tuple[int, int] = NARROW,
    labelled: bool = False,
) -> str:
    """Lines over the epochs, counted from 1, as an `<svg>` element.

    Args:
        series: one or more lines; each is named at its end if there are several.
        label: says in a sentence what is seen, for those who do not see it.
        epochs: of the whole run, so that one sees how much is still to come.
        unit: percent multiplies by 100.
        limits: of the vertical axis; from the values if None.
        size: width and height in CSS pixels.
        labelled: writes each value beside its point.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    width, height = size
    settings = rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": f"{label} {size}", "font.size": 12}
    )
    with _TURN, settings:
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot(facecolor="none")
        axes.set_xlim(0.6, epochs + (0.4 if len(series) == 1 else 0.4 + 0.16 * epochs))
        axes.set_xticks(range(1, epochs + 1, math.ceil(epochs / 10)))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_xlabel("epoch", color=_FAINT)
        if unit == "percent":
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
        scale = 100 if unit == "percent" else 1
        for place, line in enumerate(series):
            beside = None if len(series) == 1 else 9 + 12 * place * (len(line.name) == 1)
            _draw(axes, line, scale, "{:.0f}" if labelled else None, beside)
        limits = limits or _limits_of_a_level_line(series)
        if limits:
            axes.set_ylim(limits[0] * scale, limits[1] * scale)
        axes.grid(axis="y", color=_RULE, linewidth=1)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(_RULE)
        axes.tick_params(colors=_FAINT, length=0, pad=6)
        drawn = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(drawn, metadata=nothing)
    return _for_a_page(drawn.getvalue(), label, size)


def _draw(
    axes: "Axes", line: Series, scale: int, form: str | None, name_beside: int | None
) -> None:
    """One line; its name so many points beside its end, so that single letters do not overlap."""
    colour = _COLOURS[line.colour]
    known = _points(line.values, scale)
    if line.low and line.high:
        low, high = _points(line.low, scale), _points(line.high, scale)
        axes.fill_between(
            [x for x, _ in low],
            [y for _, y in low],
            [y for _, y in high],
            color=colour,
            alpha=0.14,
            linewidth=0,
        )
        if len(known) == 1:
            axes.vlines(low[0][0], low[0][1], high[0][1], color=colour, alpha=0.4, linewidth=5)
    numbers, values = [x for x, _ in known], [y for _, y in known]
    axes.plot(numbers, values, color=colour, linewidth=2, marker="o", markersize=4.5)
    beside: dict[str, Any] = {"textcoords": "offset points", "color": colour}
    if form:
        for x, y in known:
            axes.annotate(form.format(y), (x, y), (0, 8), ha="center", **beside)
    if name_beside is not None and known:
        axes.annotate(line.name, known[-1], (name_beside, 0), va="center", **beside)


def _limits_of_a_level_line(series: Sequence[Series]) -> tuple[float, float] | None:
    """Room above and below where all values are the same; None where matplotlib knows best."""
    values = {value for line in series for value in line.values if value is not None}
    if len(values) != 1:
        return None
    [value] = values
    room = abs(value) or 1.0
    return value - room, value + room


def _points(values: Sequence[Value], scale: int) -> list[tuple[int, float]]:
    return [(i + 1, scale * value) for i, value in enumerate(values) if value is not None]


def _for_a_page(svg: str, label: str, size: tuple[int, int]) -> str:
    """What matplotlib wrote, fit to stand inside HTML under a strict content policy."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for colour, name in _STANDS_FOR.items():
        svg = svg.replace(colour, f"var(--{name})")
    head = (
        f'<svg class="plot" viewBox="0 0 {size[0]} {size[1]}" role="img" '
        f'aria-label="{escape(label)}" width="{size[0]}" height="{size[1]}">'
    )
    return head + svg[svg.index(">") + 1 :].strip()
