"""A page's annotation, as one value an image."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.tasks.gallery import NONE_IS_GOOD, read_page
from backend.tasks.images import image_key
from backend.tasks.label_config import GalleryControls

KEYS = {image_key("run", 2, index): index for index in (3, 0, 5, 1)}


def key(index: int) -> str:
    return image_key("run", 2, index)


def item(name: str, *values: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "prompt", "value": {"choices": list(values)}}


def test_what_is_not_clicked_is_bad():
    values, problem = read_page([item("good", key(3), key(5)), item("best", key(5))], KEYS)
    assert problem is None
    assert values == {3: "good", 0: "bad", 5: "best", 1: "bad"}


def test_a_best_outside_the_good_counts_as_good():
    values, _ = read_page([item("good", key(3)), item("best", key(0))], KEYS)
    assert values == {3: "good", 0: "best", 5: "bad", 1: "bad"}


def test_all_are_good_but_those_that_are_clicked():
    others = item("others", "good")
    values, problem = read_page([item("good", key(3), key(5)), item("best", key(1)), others], KEYS)
    assert problem is None
    assert values == {3: "bad", 0: "good", 5: "bad", 1: "best"}
    assert read_page([others], KEYS)[0] == dict.fromkeys(KEYS.values(), "good")
    taken_back = [item("good", key(3)), item("best", key(1)), item("others")]
    assert read_page(taken_back, KEYS)[0] == {3: "good", 0: "bad", 5: "bad", 1: "best"}


def test_the_best_is_never_bad():
    clicked = [item("good", key(1)), item("best", key(1)), item("others", "good")]
    assert read_page(clicked, KEYS)[0][1] == "best"


def test_a_page_without_a_single_good_image():
    assert read_page([item("best", NONE_IS_GOOD)], KEYS) == (
        dict.fromkeys(KEYS.values(), "bad"),
        None,
    )


def test_a_contradiction_keeps_the_good_ones():
    values, _ = read_page([item("good", key(1)), item("best", NONE_IS_GOOD)], KEYS)
    assert values == {3: "bad", 0: "bad", 5: "bad", 1: "good"}


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "says nothing"),
        ([], "says nothing"),
        ([{"from_name": "good", "value": None}], "says nothing"),
        ([item("other", key(0))], "says nothing"),
        ([item("good", "run/1/0000"), item("best", key(0))], "'run/1/0000'"),
        ([item("best", 7)], "7"),
        ([item("best", ["x"])], "none of its images"),
        ([item("best", key(0), key(1))], "2 best"),
        ([item("best", key(0)), item("best", key(1))], "2 best"),
    ],
)
def test_what_cannot_be_read_is_said(result: Any, said: str):
    values, problem = read_page(result, KEYS)
    assert values == {}
    assert problem is not None and said in problem


@given(st.dictionaries(st.sampled_from(sorted(KEYS)), st.sampled_from(["good", "bad"]), min_size=4))
def test_a_prediction_reads_back_as_it_was(said: dict[str, str]):
    first_good = next((name for name, value in said.items() if value == "good"), None)
    if first_good:
        said[first_good] = "best"
    values, problem = read_page(GalleryControls("prompt").prediction(said), KEYS)
    assert problem is None
    assert values == {KEYS[name]: value for name, value in said.items()}
