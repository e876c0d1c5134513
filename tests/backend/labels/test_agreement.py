"""Agreement against values computed by hand and published ones."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labels.agreement import _alpha, alpha, of_run, percent
from backend.run.labelling import Labelling
from backend.run.records import Annotation, Epoch
from tests.backend.votes import START, annotations

KRIPPENDORFF = [  # "Computing Krippendorff's Alpha-Reliability" (2011), example C; . is missing
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
]


def rows(*images: str, **fields) -> list[Annotation]:
    return annotations("run", *images, **fields)


def epoch(number: int = 0, best: int | None = None, *, closed: bool = True) -> Epoch:
    at = START if closed else None
    return Epoch("run", number, START, START, at, at, {}, None, best, None)


def test_krippendorffs_own_example():
    judgements = [
        (unit, coder, value)
        for coder, line in enumerate(KRIPPENDORFF)
        for unit, value in enumerate(line.split())
        if value != "."
    ]
    assert alpha(judgements) == pytest.approx(0.743, abs=0.0005)


def test_by_hand():
    # The four images that two people judged hold 5 good and 3 bad votes, and one pair differs:
    # alpha = 1 - (8 - 1) * 1 / (5 * 3).
    whole = of_run(rows("gg", "gg", "bb", "gb", "b-"), [epoch(closed=False)], Labelling()).run
    assert (whole.images, whole.compared, whole.differing) == (5, 4, 1)
    assert whole.percent == whole.percent_good_bad == 0.75
    assert whole.alpha == whole.alpha_good_bad == pytest.approx(1 - 7 / 15)


def test_best_and_good_differ_in_three_classes_and_agree_in_two():
    whole = of_run(rows("tg", "bb", "gg"), [], Labelling()).run
    assert whole.percent == pytest.approx(2 / 3)
    assert whole.percent_good_bad == 1
    assert whole.alpha_good_bad == pytest.approx(1)
    assert whole.alpha < 1
    assert whole.differing == 0


def test_a_figure_is_computed_anew_only_when_a_vote_has_changed(monkeypatch):
    from crowdkit.metrics import data

    computed, compute = [], data.alpha_krippendorff
    monkeypatch.setattr(
        data, "alpha_krippendorff", lambda table: computed.append(1) or compute(table)
    )
    _alpha.cache_clear()
    first = of_run(rows("gg", "gb", "bb"), [], Labelling()).run
    asked = len(computed)
    assert of_run(rows("gg", "gb", "bb"), [], Labelling()).run == first
    assert len(computed) == asked > 0
    changed = of_run(rows("gg", "bb", "bb"), [], Labelling()).run
    assert (changed.alpha, first.alpha < 1) == (pytest.approx(1), True)
    assert len(computed) > asked


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 5), st.integers(0, 3)), st.sampled_from(["good", "bad", "best"])
    )
)
def test_percent_is_the_share_of_equal_pairs_and_alpha_no_more_than_one(values):
    judgements = [(thing, who, value) for (thing, who), value in values.items()]
    pairs = [
        one[2] == other[2]
        for one, other in combinations(judgements, 2)
        if one[0] == other[0] and one[1] != other[1]
    ]
    assert percent(judgements) == (sum(pairs) / len(pairs) if pairs else None)
    found = alpha(judgements)
    assert found is None or found <= 1
    if found is not None and all(pairs):
        assert found == pytest.approx(1)


@pytest.mark.parametrize(
    ("images", "percentage"), [([], None), (["t", "b"], None), (["gg", "gg"], 1.0)]
)
def test_what_cannot_be_said_is_none(images, percentage):
    found = of_run(rows(*images), [], Labelling())
    assert found.run.alpha is found.run.alpha_good_bad is None
    assert found.run.percent == percentage
    assert "NaN" not in json.dumps(found.to_dict())


def test_one_person_alone_has_no_reliability():
    [person] = of_run(rows("t", "b", frozen=True), [epoch(best=0)], Labelling()).run.people
    assert (person.reliability, person.bests_taken) == (None, 1.0)


def test_what_each_person_did():
    first = rows("tg", "gb", "bb", frozen=True)
    second = rows("g-", "t-", "--", epoch=1, lead_time=6.0)
    found = of_run([*first, *second], [epoch(0, best=0), epoch(1, closed=False)], Labelling())
    one, two = found.run.people
    assert (one.name, one.images, one.good, one.bad, one.best) == ("p1@x", 5, 4, 1, 2)
    assert (two.name, two.images, two.good, two.bad, two.best) == ("p2@x", 3, 1, 2, 0)
    assert (one.bests_taken, two.bests_taken) == (1.0, 0.0)
    assert one.seconds_per_image == 2.0
    assert set(found.epochs) == {0, 1}
    assert found.epochs[1].people[0].seconds_per_image == 6.0
    assert found.epochs[1].people[0].bests_taken is None
    assert 0.5 < one.reliability <= 1


def test_a_pages_time_is_shared_out_among_its_images():
    page = [replace(row, ls_id=7) for row in rows("t", "b", "g", "b", lead_time=40.0)]
    assert of_run(page, [], Labelling()).run.people[0].seconds_per_image == 10


def test_a_closed_epoch_counts_what_it_learned_from():
    [used, other] = rows("gg", frozen=True)
    changed = replace(used, late=True, late_value="bad", deleted=True)
    after = replace(other, ls_id=99, annotator_id=9, frozen=False, late=True)
    found = of_run([changed, other, after], [epoch()], Labelling()).run
    assert (found.percent, [person.name for person in found.people]) == (1.0, ["p1@x", "p2@x"])


def test_an_open_epoch_counts_the_latest_of_those_who_may_vote():
    [one, two] = rows("gb")
    again = replace(two, ls_id=50, value="good", updated_at=START + timedelta(seconds=1))
    stranger = replace(one, ls_id=51, annotator_id=9, annotator="stranger@x", value="bad")
    plan = Labelling(annotators="p1@x,p2@x")
    found = of_run([one, two, again, stranger], [epoch(closed=False)], plan).run
    assert found.percent == 1.0
    assert len(found.people) == 2
