"""What labelling cost people."""

from dataclasses import replace

import pytest

from backend.labels.annotation_time import seconds_spent
from tests.backend.votes import annotations


@pytest.mark.parametrize(
    ("lead_times", "seconds"),
    [
        ([], None),
        ([None, None], None),
        ([2.0, 3.5], 5.5),
        ([2.0, None], 2.0),
        ([2.0, 8 * 3600.0], 602.0),
        ([-1.0], 0.0),
    ],
)
def test_nobody_labels_one_image_all_night(lead_times, seconds):
    rows = annotations("run", *["g"] * len(lead_times))
    rows = [replace(row, lead_time=lead) for row, lead in zip(rows, lead_times, strict=True)]
    assert seconds_spent(rows) == seconds


@pytest.mark.parametrize(
    ("images", "lead_time", "seconds"),
    [(64, 1800.0, 1800.0), (64, 9 * 3600.0, 64 * 60.0), (4, 9 * 3600.0, 600.0)],
)
def test_a_page_is_counted_once_and_may_take_longer(images, lead_time, seconds):
    rows = annotations("run", *["g"] * images)
    page = [replace(row, ls_id=7, lead_time=lead_time) for row in rows]
    assert seconds_spent(page) == seconds


def test_work_that_did_not_count_was_work():
    [used, skipped, gone] = annotations("run", "g", "g", "g")
    rows = [used, replace(skipped, value=None, was_cancelled=True), replace(gone, deleted=True)]
    rows = [replace(row, lead_time=4.0, late=True) for row in rows]
    assert seconds_spent(rows) == 12.0
