import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_engine.methods.neighbours import neighbours


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            "photo of one blue rose in a vase",
            [
                "photo of two blue roses in a vase",
                "photo of one red rose in a vase",
                "photo of one blue rose",
                "rose",
            ],
        ),
        (
            "photo of three red roses in a vase",
            [
                "photo of two red roses in a vase",
                "photo of four red roses in a vase",
                "photo of three blue roses in a vase",
                "photo of three red roses",
                "roses",
            ],
        ),
        ("1 hand", ["2 hands", "hand"]),
        ("2 hands", ["1 hand", "3 hands", "hands"]),
        ("a child on a swing", ["two children on a swing", "a child", "child"]),
        ("A Red Car, at night", ["two Red Cars", "A blue Car", "Car"]),
        ("snowy mountains", ["mountains"]),
        ("in a forest", []),
        ("rose", []),
        ("", []),
    ],
)
def test_fewer_more_another_colour_no_place_the_bare_noun(prompt, expected):
    assert neighbours(prompt) == expected


@given(st.text(alphabet="ab ,.1", max_size=30) | st.text(max_size=30))
def test_any_text_has_at_most_five_which_are_other_prompts(prompt):
    made = neighbours(prompt)
    assert len(made) <= 5
    assert len(set(made)) == len(made)
    assert all(each.strip() and each != " ".join(prompt.split()) for each in made)
