"""Success by prompt: in words, on the terminal, on the pages, in the model card and the tables."""

import io
import re

import pytest
from rich.console import Console

from backend.dashboard.facts import read_run
from backend.dashboard.report import report
from backend.exports import preferences, verdicts
from backend.exports.source import Source
from backend.show import run_view, terminal
from tests.backend.exports.test_model_card import card_of
from tests.backend.made_runs import MadeRun

CAT, DOG = "a cat", "a dog"


@pytest.fixture
def made(settings, store):
    made = MadeRun(
        settings,
        store,
        prompt=CAT,
        epochs=3,
        images=8,
        config={"further_prompts": [DOG], "held_out": ["a cow"], "method": "hero+"},
        criteria_by_prompt={DOG: "exactly one dog"},
    )
    made.go_round("t", "b", "b", "b", "g", "t", "g", "b")
    by_prompt = [
        {"prompt": CAT, "model_good": 3, "model_judged": 4},
        {"prompt": DOG, "model_good": 4, "model_judged": 4},
    ]
    made.draw()
    made.vote("t", "g", "g", "b", "g", "t", "g", "g")
    made.learn(by_prompt=by_prompt, model_epoch=1, model_good=7, model_judged=8)
    return made


def test_a_line_a_prompt(made, store):
    cat, dog = run_view.read(store, made.id).prompts
    assert (cat.prompt, cat.rates, cat.good, cat.judged) == (CAT, (0.25, 0.75), 4, 8)
    assert (dog.rates, dog.criteria, dog.model_good) == ((0.75, 1.0), "exactly one dog", 4)


def test_the_models_weakest_prompt_is_named(made, store):
    said = run_view.read(store, made.id).model.sentence
    assert said.endswith("98). Weakest of its prompts: a cat, 3 of 4.")


def test_a_run_of_one_prompt_has_none(settings, store):
    made = MadeRun(settings, store)
    made.go_round("g", "b", "t", "b")
    assert run_view.read(store, made.id).prompts == ()


def test_the_terminal_in_80_columns(made, store):
    console = Console(file=io.StringIO(), width=80)
    console.print(terminal.render(run_view.read(store, made.id)))
    said = console.file.getvalue()
    assert "2 prompts" in said
    assert re.search(r"a cat +25% → 75% +4/8", said)
    assert max(map(len, said.splitlines())) <= 80


def test_the_report(made, settings, store):
    made.sample_rows(2, images=12)
    page = report(settings, store, made.run)
    assert "Success by prompt" in page
    assert "exactly one dog" in page
    assert "held out: never learned from" in page
    assert page.count('class="of">a cow') == 2


def test_samples_are_shown_prompt_by_prompt(made, settings, store):
    made.sample_rows(1, images=12)
    [row] = read_run(settings, store, made.id).samples
    assert row.by_prompt == [(CAT, range(4)), (DOG, range(4, 8)), ("a cow", range(8, 12))]


def test_the_tables_say_each_images_prompt(made, settings, store):
    source = Source(settings, store, made.run)
    rows = [row for row in verdicts.rows(source) if row["epoch"] == 1]
    assert [row["prompt"] for row in rows] == [CAT] * 4 + [DOG] * 4
    pairs = preferences.rows(source)
    assert {row["caption"] for row in pairs} == {CAT, DOG}
    assert all(
        (int(row["image_0_uid"][-4:]) < 4) == (int(row["image_1_uid"][-4:]) < 4) for row in pairs
    )


def test_the_model_card(made):
    card = card_of(made)
    assert "fine-tuned for 2 prompts" in card
    assert re.search(r"\| a dog \| exactly one dog \| 8 \| 75 % → 100 % \|", card)
    assert "4 of the good ones chosen as the best" in card
