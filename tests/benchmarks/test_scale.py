"""What is counted of many processes, and the page that shows it."""

import json

import pytest

from benchmarks import scale
from benchmarks.cells import RESULTS
from benchmarks.scale import METHODS, PROCESSES, STAGES, Share, counted, measured, page


def test_the_busiest_process_has_every_second_part_of_two():
    share = Share(evaluations=[4, 4, 2], sizes=[10, 10, 5])
    assert [share.busiest(count) for count in (1, 2, 3, 8)] == [10, 6, 4, 4]
    assert [share.sent(count) for count in (1, 2, 3)] == [0, 15, 20]


def test_the_page_shows_what_was_counted():
    figures = json.loads((RESULTS / "scale.json").read_text())
    assert page(figures) == (RESULTS / "scale.md").read_text()
    for method in METHODS:
        for stage in STAGES:
            rows = figures["counted"][method][stage]
            assert [row["processes"] for row in rows] == list(PROCESSES)
            busiest = [row["evaluations"] for row in rows]
            assert busiest == sorted(busiest, reverse=True)
            assert rows[0]["bytes_sent"] == rows[0]["exchanges"] == 0


def test_seconds_of_a_busy_machine_say_so():
    rows = {"hero": {"1": {"drawing": 2.0, "learning": 4.0}, "2": {"drawing": 1.0, "learning": 3}}}
    assert "say nothing" in scale.measured_sheet(rows, 3.0).title
    quiet = scale.measured_sheet(rows, 0.1)
    assert "say nothing" not in quiet.title
    assert quiet.rows[0] == ["hero", "drawing", "2.0", "1.0", "2.00"]


@pytest.mark.slow
def test_one_epoch_is_counted_and_measured():
    found = counted("hero", 4)
    assert found["drawing"][0]["evaluations"] == 4 * 4 * 2
    assert found["drawing"][1]["bytes_sent"] > 0
    seconds = measured("hero", 4, 2)
    assert seconds.keys() == set(STAGES) and min(seconds.values()) > 0
