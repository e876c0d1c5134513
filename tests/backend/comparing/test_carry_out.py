"""Which comparison a person means, and what is drawn for it."""

import random

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from backend import engine
from backend.comparing import carry_out
from backend.comparing.drawing import draw_pairs
from backend.errors import BadInput
from backend.run.comparison import ComparedModel
from backend.store import tables
from backend.store.rows import update
from backend.tasks.pairs import choice, pair_of, pair_path, pair_task, read_choice
from tests.backend.learned import learned


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    from tests.hero_engine.tiny import save_pipeline

    return save_pipeline(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def run(settings, store, pipeline):
    return learned(settings, store, pipeline, ["good", "bad", "best", "good"], 2)


def bytes_of(folder):
    return [path.read_bytes() for path in sorted(folder.glob("*.png"))]


def test_both_models_draw_the_same_noises_and_stand_on_the_sides_that_were_drawn(
    settings, store, run, tmp_path
):
    made = carry_out.chosen(store, run, pairs=4, seed=5)
    drawn = []
    draw_pairs(settings, store, made, lambda done, total: drawn.append((done, total)))
    assert drawn[-1] == (8, 8)
    ours = engine.sample(settings, run, 4, seed=5).images
    fresh = store.create_run(run.config)
    theirs = engine.sample(settings, fresh, 4, seed=5).images
    for pair in range(4):
        side = made.side_of_run(pair)
        other = "right" if side == "left" else "left"
        for image, where in ((ours[pair], side), (theirs[pair], other)):
            with Image.open(settings.images_dir / pair_path(made.id, pair, where)) as shown:
                assert shown.tobytes() == image.tobytes()
        assert ours[pair].tobytes() != theirs[pair].tobytes()


def test_nothing_that_people_get_tells_the_sides(settings, store, run):
    made = carry_out.chosen(store, run, pairs=6)
    draw_pairs(settings, store, made, lambda *_: None)
    files = sorted((settings.images_dir / made.id).iterdir())
    assert [file.name for file in files] == [
        f"{pair:04d}-{side}.png" for pair in range(6) for side in ("left", "right")
    ]
    assert len({file.stat().st_mtime for file in files}) == 1
    assert {file.stat().st_nlink for file in files} == {1}
    tasks = [pair_task(settings, made, pair) for pair in range(6)]
    shapes = {str(task).replace(f"{pair:04d}", "N") for pair, task in enumerate(tasks)}
    assert len(shapes) == 1, "tasks differ in nothing but the pair's number"
    assert made.sides not in str(tasks)


def test_an_interrupted_drawing_goes_on(settings, store, run):
    made = carry_out.chosen(store, run, pairs=2, seed=5)

    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        draw_pairs(settings, store, made, stop)
    assert not list(settings.images_dir.glob(f"{made.id}/*"))
    later = []
    draw_pairs(settings, store, made, lambda done, total: later.append(done))
    assert later == [3, 4], "the first model's images were kept"
    again = carry_out.chosen(store, run)
    assert again.id == made.id


def test_the_newest_that_fits_is_meant(store, run):
    first = carry_out.chosen(store, run, pairs=2)
    store.comparison_published(first, 4)
    assert carry_out.chosen(store, run).id == first.id
    assert carry_out.chosen(store, run, against="base", pairs=2).id == first.id
    with pytest.raises(BadInput, match="--new"):
        carry_out.chosen(store, run, pairs=3)
    second = carry_out.chosen(store, run, new=True)
    assert (second.number, second.pairs, second.sides != first.sides) == (2, 100, True)


def test_other_models_by_what_people_type(settings, store, pipeline, run):
    other = learned(settings, store, pipeline, ["bad", "bad", "best", "good"], 2, seed=4)
    made = carry_out.chosen(store, run, against=other.id[:-1])
    assert made.against == ComparedModel(other.id, 1)
    made = carry_out.chosen(store, run, against=f"{other.id}:1")
    assert made.against == ComparedModel(other.id, 1)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("nonsense", "it is no run; say base, RUN or RUN:EPOCH"),
        (":0", "has learned from 1 epoch"),
        (":2", "has learned from 1 epoch"),
        (":1", "with itself"),
        ("latest", "with itself"),
    ],
)
def test_what_cannot_be_compared(store, run, said, why):
    with pytest.raises(BadInput, match=why):
        carry_out.chosen(store, run, against=said)


def test_a_run_that_has_not_learned_and_another_base_model(store, run):
    fresh = store.create_run(run.config)
    with pytest.raises(BadInput, match="has not learned"):
        carry_out.chosen(store, fresh)
    elsewhere = store.create_run({**run.config, "model": "tiny"})
    with pytest.raises(BadInput, match="the same noises"):
        carry_out.chosen(store, run, against=elsewhere.id)


def test_half_of_the_sides_are_left():
    for pairs in (1, 2, 9, 100):
        sides = carry_out.drawn_sides(pairs, random.Random(pairs))
        assert len(sides) == pairs
        assert abs(sides.count("l") - sides.count("r")) <= 1
    assert len({carry_out.drawn_sides(20, random.Random(seed)) for seed in range(30)}) == 30


def test_a_task_and_what_it_says(settings, store, run):
    made = carry_out.chosen(store, run, pairs=2)
    assert pair_of(pair_task(settings, made, 1)) == (made.id, 1)
    assert pair_of({"hero_image_id": f"{run.id}/0/0001"}) is None
    assert read_choice(choice("tie")) == "tie"
    assert read_choice([*choice("left"), *choice("right")]) is None
    assert read_choice(choice("best")) is None
    assert read_choice(None) is None


def test_a_run_whose_labels_speak_for_the_base_model_has_nothing_to_compare(store, run):
    claimed = {"model_epoch": 0, "model_good": 3, "model_judged": 4}
    with store._write() as connection:
        connection.execute(
            sa.insert(tables.epochs).values(run_id=run.id, epoch=0, seconds={}, report=claimed)
        )
    with pytest.raises(BadInput, match="still the run's own"):
        carry_out.chosen(store, run)


@pytest.fixture
def many(settings, store, pipeline):
    said = {"further_prompts": ("a cat", "1 hand"), "images_per_epoch": 12, "method": "hero+"}
    return learned(settings, store, pipeline, ["good", "bad", "best", "good"] * 3, 2, **said)


def test_several_prompts_take_turns(settings, store, many):
    made = carry_out.chosen(store, many, pairs=5, seed=5)
    assert made.prompts == many.prompts
    draw_pairs(settings, store, made, lambda *_: None)
    tasks = [pair_task(settings, made, pair) for pair in range(5)]
    first = many.prompt
    assert [task["prompt"] for task in tasks] == [first, "a cat", "1 hand", first, "a cat"]
    of_cat = engine.sample(settings, many, 5, prompt="a cat", seed=5).images
    for pair, same in ((0, False), (1, True), (2, False), (3, False), (4, True)):
        path = settings.images_dir / pair_path(made.id, pair, made.side_of_run(pair))
        with Image.open(path) as shown:
            assert np.allclose(shown, of_cat[pair], atol=1) is same
    with pytest.raises(BadInput, match="3 prompts, which take turns; say --pairs 3"):
        carry_out.chosen(store, many, pairs=2, new=True)


def test_each_prompt_keeps_its_criteria(store, many):
    with store._write() as connection:
        labelling = {"criteria": "sharp", "criteria_by_prompt": {"a cat": "one cat"}}
        update(connection, many.id, labelling=labelling)
    made = carry_out.chosen(store, store.run(many.id), pairs=3)
    assert [made.criteria_of(pair) for pair in range(4)] == ["sharp", "one cat", "sharp", "sharp"]


def test_one_that_was_stored_when_there_was_one_prompt_is_read(store, many):
    made = carry_out.chosen(store, many, pairs=4)
    text = sa.text("UPDATE comparisons SET prompt = 'a cat', criteria = '' WHERE id = :id")
    with store._write() as connection:
        connection.execute(text, {"id": made.id})
    (read,) = store.comparisons(many.id)
    assert (read.prompts, read.criteria) == (("a cat",), ("",))
    assert {read.prompt_of(pair) for pair in range(4)} == {"a cat"}
