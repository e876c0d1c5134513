"""Prompts and their success conditions."""

import pytest

from tinyworld.tasks import UnknownPrompt, task, tasks


def test_the_vase_prompt_wants_one_blue_rose_in_a_vase_cleanly_drawn() -> None:
    assert task("photo of one blue rose in a vase").conditions == {
        "subject": "rose",
        "clean": "yes",
        "rose.count": "1",
        "rose.colour": "blue",
        "rose.vase": "yes",
    }


def test_without_vase_the_vase_is_no_condition() -> None:
    assert "rose.vase" not in task("photo of one blue rose").conditions


def test_a_hand_has_five_fingers() -> None:
    assert task("1 hand").conditions["hand.fingers"] == "5"


def test_case_and_spaces_do_not_matter() -> None:
    assert task("  1  Hand ") == task("1 hand")


def test_an_unknown_prompt_is_refused_with_the_known_ones_named() -> None:
    with pytest.raises(UnknownPrompt) as refused:
        task("a green cow")
    assert '"a green cow"' in str(refused.value)
    assert all(f'"{prompt}"' in str(refused.value) for prompt in tasks())
