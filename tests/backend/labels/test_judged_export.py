"""Judged pictures of people's own, from exports of Label Studio."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from backend.consensus import decide
from backend.errors import BadInput
from backend.labels.judged_export import Words, read_export
from backend.run.labelling import Labelling
from tests.backend.votes import START, Vote

Said = tuple[int, str | None]
"""A person and the word; None for a skip."""


def annotation(person: Any, word: str | None, minute: int = 0, more: Any = ()) -> dict[str, Any]:
    choices = {"from_name": "quality", "to_name": "img", "type": "choices"}
    said = [] if word is None else [{**choices, "value": {"choices": word.split("+")}}]
    return {
        "id": 1,
        "completed_by": person,
        "was_cancelled": word is None,
        "result": [*said, *more],
        "updated_at": f"2026-01-01T00:{minute:02}:00.000000Z",
    }


def task(address: str, *said: Said, field: str = "image") -> dict[str, Any]:
    entries = [annotation(person, word, minute) for minute, (person, word) in enumerate(said)]
    return {"id": 7, "data": {field: address, "note": "x"}, "annotations": entries}


@pytest.fixture
def export(tmp_path: Path):
    """Writes tasks, and their pictures beside them: each of its own colour."""

    def write(*tasks: Mapping[str, Any], pictures: Mapping[str, int] | None = None) -> Path:
        for name, colour in (pictures or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (colour, 0, 0)).save(path)
        (tmp_path / "labels.json").write_text(json.dumps(tasks))
        return tmp_path / "labels.json"

    return write


ABC = {"a.png": 1, "b.png": 2, "c.png": 3}


def by_name(judged) -> dict[str, str | None]:
    names = [path.name for path in judged.pictures]
    return dict(zip(names, [image.value for image in judged.verdicts.images], strict=True))


def test_votes_become_verdicts_as_in_a_run(export):
    source = export(
        task("/data/upload/3/a.png", (1, "good"), (2, "bad"), (3, "best")),
        task("/data/upload/3/b.png", (1, "good"), (2, "bad")),
        task("/data/upload/3/c.png", (1, "bad"), (1, "good"), (2, None)),
        pictures=ABC,
    )
    judged = read_export(source, Words())
    assert by_name(judged) == {"a.png": "best", "b.png": "bad", "c.png": "good"}
    assert judged.verdicts.best_index == 0
    assert judged.verdicts.images[0].reason == "2 of 3 good, in labels.json"
    every = read_export(source, Words(), labelling=Labelling(consensus="any-good"))
    assert by_name(every)["b.png"] == "good"


def test_an_adjudicator_decides_where_the_export_has_addresses(export):
    source = export(
        {
            **task("a.png"),
            "annotations": [
                annotation({"id": 1, "email": "ann@x.org"}, "bad"),
                annotation({"id": 2, "email": "ben@x.org"}, "bad"),
                annotation({"id": 3, "email": "lead@x.org"}, "good"),
            ],
        },
        pictures=ABC,
    )
    plan = Labelling(adjudicators=("lead@x.org",), annotators=("nobody@x.org",))
    assert by_name(read_export(source, Words(), labelling=plan)) == {"a.png": "best"}


def test_the_words_of_another_project(export):
    source = export(
        task("a.png", (1, "Yes")),
        task("b.png", (1, "No")),
        task("c.png", (1, "Unsure")),
        pictures=ABC,
    )
    words = Words(good=("yes",), bad=("no",), skip=("unsure",))
    judged = read_export(source, words)
    assert by_name(judged) == {"a.png": "good", "b.png": "bad"}
    assert judged.notes == ("Pictures of which nobody said good or bad, left out: 1.",)


def test_other_controls_of_the_page_may_say_what_they_like(export):
    hands = {"from_name": "hands", "type": "choices", "value": {"choices": ["two"]}}
    stars = {"from_name": "stars", "type": "rating", "value": {"rating": 3}}
    said = annotation(1, "good", more=[hands, stars])
    source = export({**task("a.png"), "annotations": [said]}, pictures=ABC)
    assert by_name(read_export(source, Words())) == {"a.png": "best"}


def test_tasks_of_one_picture_are_one_picture_and_unlabelled_ones_are_none(export):
    source = export(
        task("/data/upload/1/a.png", (1, "good")),
        task("/data/upload/2/copy.png", (2, "good"), (3, "bad")),
        task("/data/upload/2/gone.png"),
        pictures={"a.png": 1, "copy.png": 1},
    )
    judged = read_export(source, Words())
    assert by_name(judged) == {"a.png": "best"}, "the only good one"
    assert judged.verdicts.images[0].reason == "2 of 3 good, in labels.json"
    assert judged.notes == ("Tasks in which nothing was chosen, left out: 1.",)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/data/upload/12/0a1b2c3d-rose.png", "upload/12/0a1b2c3d-rose.png"),
        ("/data/upload/12/0a1b2c3d-rose.png", "12/0a1b2c3d-rose.png"),
        ("/data/upload/12/0a1b2c3d-rose.png", "rose.png"),
        ("/label/data/local-files/?d=roses/one%20rose.png", "roses/one rose.png"),
        ("/data/local-files/?d=roses/one%20rose.png", "one rose.png"),
        ("roses/one.png", "roses/one.png"),
    ],
)
def test_where_pictures_are_looked_for(export, tmp_path, address, place):
    source = export(
        task(address, (1, "good"), field="photo"), pictures={f"media/{place}": 1, "other.png": 2}
    )
    judged = read_export(source, Words(), tmp_path / "media")
    assert judged.pictures == (tmp_path / "media" / place,)


GOOD = [(1, "good")]


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        ([task("a.png", (1, "bad"))], "none of its 1 pictures is good"),
        ([task("a.png", (1, None))], "none of its annotations has choices"),
        ([], "none of its annotations has choices"),
        ([task("a.png", *GOOD), task("b.png", (1, "so-so"))], "'so-so' means; say it by --good"),
        ([task("a.png", (1, "good+bad"))], "task 7 says bad and good"),
        ([task("gone.png", *GOOD)], "gone.png, does not lie below"),
        ([task("/data/local-files/?d=../a.png", *GOOD)], "does not lie below"),
        ([task("https://x.org/a.png", *GOOD)], "only pictures on this machine's disk"),
        ([task("data:image/png;base64,AAAA", *GOOD)], "only pictures on this machine's disk"),
        ([task("a rose", *GOOD, field="text")], "its tasks show no picture"),
        (
            [{**task("a.png", *GOOD, field="one"), "data": {"one": "a.png", "two": "b.png"}}],
            "several pictures (one, two)",
        ),
        ([task("a.png", *GOOD), task("b.png", *GOOD, field="photo")], "task 7 has no image"),
        (
            [{**task("a.png"), "annotations": [annotation(1, "good") | {"updated_at": "soon"}]}],
            "was made at 'soon', which is no time",
        ),
    ],
)
def test_what_is_refused(export, tasks, why):
    with pytest.raises(BadInput, match=r"^Cannot import ") as refusal:
        read_export(export(*tasks, pictures=ABC), Words())
    assert why in str(refusal.value)
    assert str(refusal.value).count(". ") == 0, "one sentence"


def test_a_word_that_means_two_things_is_refused(export):
    with pytest.raises(BadInput, match="'Good' cannot mean two things"):
        read_export(export(task("a.png", *GOOD), pictures=ABC), Words(bad=("Good",)))


def test_what_is_no_export_is_refused(tmp_path):
    file = tmp_path / "labels.json"
    for text in ("{", "[1]", '[{"image": "a.png", "choice": "good"}]'):
        file.write_text(text)
        with pytest.raises(BadInput, match=r"Cannot import .*labels\.json"):
            read_export(file, Words())
    with pytest.raises(BadInput, match="No such file"):
        read_export(tmp_path / "gone.json", Words())


VOTES = st.lists(
    st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from(["good", "bad", "best", None])), max_size=5
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=VOTES)
def test_the_verdicts_are_those_that_the_votes_make_in_a_run(export, said):
    source = export(
        *(task(f"{index}.png", *votes) for index, votes in enumerate(said)),
        pictures={f"{index}.png": index for index in range(len(said))},
    )
    # A run has no image that nobody was asked about.
    kept = [index for index, votes in enumerate(said) if any(word for _, word in votes)]
    rows = [
        Vote(10 * index + minute, index, person, value, START + timedelta(minutes=minute))
        for index, number in enumerate(kept)
        for minute, (person, value) in enumerate(said[number])
    ]
    wanted = decide(rows, len(kept)).verdicts
    expected = {f"{i}.png": v for i, v in zip(kept, wanted, strict=True) if v is not None}
    if not {"good", "best"} & set(expected.values()):
        with pytest.raises(BadInput):
            read_export(source, Words())
        return
    assert by_name(read_export(source, Words())) == expected
