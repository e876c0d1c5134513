"""Labels needed for a success, against values worked out by hand."""

import pytest

from benchmarks.paper.curves import (
    Factor,
    Needed,
    from_bank,
    from_normal,
    labels_needed,
    line,
    needed,
    reached,
    times_fewer,
)


def test_between_two_epochs_the_logarithm_of_the_labels_is_interpolated() -> None:
    curve = [(0, 0.2), (64, 0.4), (256, 0.8)]
    assert needed(curve, 0.6) == Needed(pytest.approx(128), 256)
    assert needed(curve, 0.8).labels == pytest.approx(256)


def test_before_the_first_epoch_the_labels_are_interpolated() -> None:
    assert needed([(0, 0.2), (64, 0.6)], 0.5).labels == pytest.approx(48)


def test_the_first_passage_counts_though_the_curve_falls_again() -> None:
    assert needed([(0, 0.1), (64, 0.9), (128, 0.3), (192, 0.9)], 0.9).labels == pytest.approx(64)


def test_what_is_reached_from_the_start_needs_no_labels() -> None:
    found = needed([(0, 0.85), (64, 0.9)], 0.8)
    assert found.labels == 0
    assert found.log == 0


def test_what_is_not_reached_is_none_and_counts_as_all_labels_and_at_least() -> None:
    missed = needed([(0, 0.1), (100, 0.5)], 0.8)
    assert missed == Needed(None, 100)
    assert labels_needed([missed, missed]) is None
    assert reached([missed, Needed(50.0, 100)]) == "1 of 2"
    found = labels_needed([missed, Needed(25.0, 100)])
    assert found == Factor(pytest.approx(50), None, None, "at least")
    assert found.text() == "at least 50"


def test_the_interval_is_students_on_the_logarithms() -> None:
    found = labels_needed([Needed(50.0, 512), Needed(200.0, 512)])
    spread = 12.7062 * 0.9803 / 2**0.5
    assert found.mean == pytest.approx(100)
    assert found.low == pytest.approx(100 * 2.71828**-spread, rel=1e-3)
    assert found.high == pytest.approx(100 * 2.71828**spread, rel=1e-3)
    three = labels_needed([Needed(100.0, 512)] * 3)
    assert three.text() == "100 (100 to 100)"


def test_a_single_run_has_no_interval() -> None:
    assert labels_needed([Needed(123.4, 512)]).text() == "123"


def test_times_fewer_is_theirs_over_ours_seed_by_seed() -> None:
    ours = [Needed(100.0, 512), Needed(50.0, 512)]
    theirs = [Needed(400.0, 2048), Needed(200.0, 2048)]
    assert times_fewer(ours, theirs).text(1) == "4.0 (4.0 to 4.0)"


def test_times_fewer_is_a_bound_where_one_side_did_not_get_there() -> None:
    there, short, long = Needed(128.0, 512), Needed(None, 512), Needed(None, 2048)
    assert times_fewer([there], [long]).text(1) == "at least 16.0"
    assert times_fewer([short], [Needed(1024.0, 2048)]).text(1) == "at most 2.0"
    assert times_fewer([short], [long]) is None


def test_the_curve_on_the_bank_is_what_each_epoch_drew_and_then_fresh_images() -> None:
    row = {
        "images_per_epoch": 64,
        "success_by_epoch": [0.3, 0.5],
        "success_bank": 0.9,
        "success_pretrained": 0.35,
        "normal_by_epoch": [0.4],
        "success_normal": 0.6,
    }
    assert from_bank(row) == [(0, 0.3), (64, 0.5), (128, 0.9)]
    assert from_normal(row) == [(0, 0.35), (64, 0.4), (128, 0.6)]


def test_a_method_without_a_bank_has_one_curve() -> None:
    row = {"images_per_epoch": 32, "success_by_epoch": [0.3], "success_normal": 0.6}
    assert from_bank(row) == from_normal(row) == [(0, 0.3), (32, 0.6)]


def test_a_line_has_every_curve_and_their_mean_point_by_point() -> None:
    drawn = line("d3po", "C0", [[(0, 0.2), (64, 0.4)], [(0, 0.4), (64, 0.6)]])
    assert drawn.x == [0, 64]
    assert [mean.mean for mean in drawn.y] == pytest.approx([0.3, 0.5])
    assert drawn.seeds == [[0.2, 0.4], [0.4, 0.6]]
