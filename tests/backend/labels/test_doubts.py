"""Annotations that their author can hardly have made."""

from dataclasses import replace
from datetime import timedelta

from backend.labels.doubts import MOST_IN_A_MINUTE, doubts
from backend.run.labelling import Labelling
from backend.run.records import Annotation
from tests.backend.votes import START, annotations


def one_every(seconds: float, count: int) -> list[Annotation]:
    rows = annotations("rose", *["g"] * count)
    return [
        replace(row, ls_id=number, created_at=START + timedelta(seconds=number * seconds))
        for number, row in enumerate(rows)
    ]


def test_a_person_with_a_quick_hand_is_believed():
    assert doubts(one_every(0.5, 400), Labelling()) == {}


def test_more_than_a_person_makes_in_a_minute():
    quick = one_every(0.4, 400)
    assert doubts(quick, Labelling()) == dict.fromkeys(range(400), "too quick")
    assert doubts(quick[:MOST_IN_A_MINUTE], Labelling()) == {}


def test_only_the_minute_is_marked():
    slow = one_every(5, 50)
    burst = [replace(row, ls_id=row.ls_id + 1000) for row in one_every(0.1, 200)]
    assert set(doubts([*slow, *burst], Labelling())) == {
        *range(1000, 1200),
        *range(14),  # up to a minute later, when the burst was too many still
    }


def test_several_people_are_not_one():
    one, two = one_every(0.5, 100), one_every(0.5, 100)
    two = [replace(row, ls_id=row.ls_id + 1000, annotator_id=2, annotator="p2@x") for row in two]
    assert doubts([*one, *two], Labelling()) == {}


def test_a_page_of_a_gallery_is_one_annotation():
    page = [replace(row, ls_id=7) for row in annotations("rose", *["g"] * 400)]
    assert doubts(page, Labelling()) == {}


def test_somebody_who_is_not_of_the_run():
    rows = annotations("rose", "gg", "bb")
    asked = Labelling(annotators=("p1@x",), adjudicators=("lead@x",))
    of_others = {row.ls_id for row in rows if row.annotator == "p2@x"}
    assert doubts(rows, asked) == dict.fromkeys(of_others, "not an annotator of the run")
