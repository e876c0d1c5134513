"""Curves as parts of a page."""

import re
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.show.plots import NARROW, WIDE, Series, curve

value = st.none() | st.floats(-1e6, 1e6)


def test_it_is_one_element_with_the_pages_colours():
    svg = curve((Series("x", "good", (0.2, 0.4)),), label='A "rose" & more', epochs=2)
    root = ET.fromstring(svg.replace("xlink:href", "href"))
    assert root.attrib["aria-label"] == 'A "rose" & more'
    assert "var(--good)" in svg
    assert not re.search(r"#0[0-9a-f]0[0-9a-f]0[0-9a-f]", svg)
    for part in ("<style", "<?xml", "<!DOCTYPE", "metadata", "http:"):
        assert part not in svg
    assert svg == curve.__wrapped__(
        (Series("x", "good", (0.2, 0.4)),), label='A "rose" & more', epochs=2
    )


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_points_stand_where_their_values_are(size: tuple[int, int]):
    low, high = (
        curve((Series("x", "good", (v,)),), label="y", epochs=3, limits=(0, 1), size=size)
        for v in (0.1, 0.9)
    )

    def height(svg: str) -> float:
        return float(re.search(r'<use [^>]*y="([\d.]+)"[^>]*var\(--good\)', svg)[1])

    assert height(low) > height(high)
    assert height(low) < size[1]


@settings(max_examples=15, deadline=None)
@given(st.lists(value, min_size=1, max_size=6), st.lists(value, min_size=1, max_size=6))
def test_gaps_and_level_lines_can_be_drawn(one: list[float | None], other: list[float | None]):
    series = (Series("good", "good", tuple(one)), Series("bad", "bad", tuple(other)))
    svg = curve(series, label="rewards", epochs=6)
    ET.fromstring(svg.replace("xlink:href", "href"))
    assert "nan" not in svg.lower()


def test_threads_do_not_disturb_each_other():
    def draw(n: int) -> str:
        return curve((Series("x", "bad", (float(n),)),), label=f"{n}", epochs=2)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, range(8)))
    curve.cache_clear()
    assert together == [draw(n) for n in range(8)]
