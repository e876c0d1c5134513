"""What a LoRA's model card says of its run."""

import pytest
import yaml
from huggingface_hub import ModelCard

from backend.dashboard.facts import read_run
from backend.exports.base_model import BaseModel, describe_base
from backend.exports.model_card import Usage, model_card
from backend.exports.target import MARK
from backend.labels import closing
from backend.run.states import Event
from backend.store.rows import update
from tests.backend.comparing.compared import comparison, fill
from tests.backend.made_runs import MadeRun

USAGE = Usage("pipe = ...\n", ("AUTOMATIC1111: put it into models/Lora, <lora:rose:1>",))
HUB = BaseModel("somebody/roses", True, {"license": "openrail++"})
LOCAL = BaseModel("roses", False)


def card_of(made: MadeRun, base: BaseModel = LOCAL, pictures=None) -> str:
    facts = read_run(made.settings, made.store, made.id)
    text = model_card(facts, base, USAGE, "A method.", pictures)
    # Nothing is missing in a sentence, and no section is empty.
    assert not {"None", "nan", "NaN", "Undefined"} & set(text.replace("|", " ").split())
    lines = [line for line in text.splitlines() if line]
    follows = zip(lines, [*lines[1:], "#"], strict=True)
    assert [line for line, next_line in follows if line[:2] == "##" and next_line[0] == "#"] == []
    return text


def section(text: str, name: str) -> str:
    return text.split(f"\n## {name}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def made(settings, store):
    criteria = "One *blue* rose.\nNo <b>vase</b>."
    made = MadeRun(settings, store, annotators_per_image=2, criteria=criteria)
    made.go_round("gg", "tg", "gb", "bb")
    made.draw()
    made.vote("gg", "bg", "gg", "-t")
    made.learn(success_rate=0.75, success_rate_fresh=0.5, diversity=0.25, note="It was unusual.")
    return made


def test_success_with_its_interval_and_spread(made):
    said = section(card_of(made), "Success")
    table = rows(said)
    assert table[0][-2:] == ["of fresh noise", "spread"]
    # Wilson's interval of 3 of 4 by hand: (.75 + .48 -+ sqrt(.1875 / 4 + .06) * 1.96) / 1.96
    assert table[2] == ["1", "2", "4", "50 %", "15 % to 85 %", "\N{EN DASH}", "0.50"]
    assert table[3] == ["2", "3", "4", "75 %", "30 % to 95 %", "50 %", "0.25"]
    assert "near the noises of good ones" in said
    assert "- Epoch 2: It was unusual." in said


def test_labels_and_agreement_without_addresses(made):
    text = card_of(made)
    assert "@" not in text
    assert "ann" not in text.replace("annotator", "")
    said = section(text, "Labels")
    assert (
        "8 images have a verdict: 5 good and 3 bad, 2 of the good ones chosen as the best." in said
    )
    table = rows(said)
    assert [row[:5] for row in table[2:]] == [["1", "7", "5", "2", "1"], ["2", "8", "6", "2", "1"]]
    assert table[2][-1] == "1.5 s"
    # seven images have two votes; on two of them good stands against bad
    assert "7 images were judged by two people or more; on 2 of them" in said
    assert "71 % of the pairs of votes are equal" in said


def test_what_people_wrote_is_no_markup(made):
    said = section(card_of(made), "Prompt")
    assert "> One \\*blue\\* rose.\n>\n> No \\<b\\>vase\\</b\\>." in said
    assert "`<lora:rose:1>`" in section(card_of(made), "How to use it")


def test_what_is_not_known_is_left_out_and_named(settings, store):
    made = MadeRun(settings, store)
    made.draw()
    text = card_of(made)
    for name in ("Success", "Labels", "Before and after"):
        assert f"## {name}" not in text
    said = section(text, "What was not measured")
    assert "costs other prompts" in said
    assert "nobody judged images of the finished model" in said
    assert "this run has none" in said
    assert "No criteria were written down" in section(text, "Prompt")
    assert "Its terms were not at hand" in section(text, "Licence")


def test_one_annotator_agrees_with_nobody(settings, store):
    made = MadeRun(settings, store)
    made.go_round("g", "b", "t", "b")
    said = section(card_of(made), "Labels")
    assert "One person labelled" in said
    assert "estimated" not in said
    assert "noises of good ones" not in section(card_of(made), "Success")


def test_what_the_embedding_estimated_is_said(settings, store):
    made = MadeRun(settings, store, label_budget=3, epochs=3)
    made.go_round("g", "b", "t", "b")
    made.draw([0.9, 0.9, 0.1, 0.2], asked={0, 1, 2})
    made.vote("g", "b", "b")
    made.learn()
    assert "1 of these verdicts are the embedding's estimates" in card_of(made)


def test_the_model_that_is_exported_may_have_been_judged(settings, store):
    made = MadeRun(settings, store, epochs=3)
    made.go_round("g", "b", "t", "b")
    assert "nobody judged" in card_of(made)
    made.draw()
    made.vote("g", "b", "t", "b")
    store.transition(made.run, Event.advance)
    closing.freeze(store, made.claim())
    assert made.run.epoch == 1
    assert "nobody judged" not in card_of(made)


def test_settings_name_no_place_of_this_machine(settings, store, tmp_path):
    config = {"model": str(tmp_path), "lora_rank": 16, "negative_prompt": "a | b"}
    config |= {"method": "ddpo", "reward_model": str(tmp_path / "scorer")}
    text = card_of(MadeRun(settings, store, config=config), describe_base(config, online=False))
    assert str(tmp_path) not in text
    assert f"`{tmp_path.name}`" in text
    assert ["`lora_rank`", "16", "4"] in rows(section(text, "Training"))
    assert "a \\| b" in section(text, "Prompt")


def test_the_metadata_is_what_the_hub_reads(settings, store):
    prompt = 'a "rose": #1 {blue}'
    made = MadeRun(settings, store, prompt=prompt)
    card = ModelCard(card_of(made, HUB, ("before.png", "after.png")))
    assert card.data.to_dict() == {
        "base_model": "somebody/roses",
        "base_model_relation": "adapter",
        "library_name": "diffusers",
        "license": "openrail++",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", "diffusers", "lora", "human-feedback"],
        "instance_prompt": prompt,
    }
    assert "[somebody/roses](https://huggingface.co/somebody/roses)" in card.text
    assert "applies: openrail++." in section(card.text, "Licence")
    assert "](before.png)" in section(card.text, "Before and after")
    assert MARK in card.text


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ({"license": "mit", "tags": ["x"]}, "mit"),
        ({"license": "other", "license_name": "flux-1"}, "flux-1"),
        ({"license": "other", "license_link": "https://x.org/l"}, "[other](https://x.org/l)"),
        ({"license": "other", "license_link": "LICENSE.md"}, "other"),
        ({"license": ["mit"]}, ""),
        ({}, ""),
    ],
)
def test_the_licence_is_that_of_the_base_models_own_card(tmp_path, said, licence):
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump(said)}---\n# Roses\n")
    assert describe_base({"model": str(tmp_path)}, online=False).licence_text == licence


@pytest.mark.parametrize("content", ["", "# no metadata", "---\n: [\n---\n", "---\n- 1\n---\n"])
def test_a_card_that_cannot_be_read_says_no_licence(tmp_path, content):
    (tmp_path / "README.md").write_text(content)
    base = describe_base({"model": str(tmp_path)}, online=False)
    assert (base.name, base.on_hub, base.licence_text) == (tmp_path.name, False, "")


def test_a_bundled_model_and_one_of_the_hub(tmp_path, monkeypatch):
    assert describe_base({"model": "tiny"}, online=False).loaded_from == "/path/to/tiny"
    base = describe_base({"model": "somebody/no-such-roses"}, online=False)
    assert (base.on_hub, base.licence_text) == (True, "")
    assert base.loaded_from == "somebody/no-such-roses"
    (tmp_path / "somebody" / "no-such-roses").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not describe_base({"model": "somebody/no-such-roses"}, online=False).on_hub


def test_a_blind_comparison_without_names(made):
    compared = comparison(made.store, made.id, people=2, sides="lr" * 3)
    fill(made.store, compared, ["++", "++", "--", "+-", "++"])
    said = section(card_of(made), "Blind comparison")
    # Wilson's interval of 3 of 4 by hand, as above.
    assert rows(said)[2] == [
        *("the model after epoch 2", "the base model"),
        *("3", "4", "75 %", "30 % to 95 %", "1", "2"),
    ]
    assert "5 of 6 pairs of the comparison with the base model are judged so far." in said
    assert "@" not in said


def test_a_blind_comparison_by_prompt(made):
    compared = comparison(made.store, made.id, sides="lr" * 2, prompts=("a <cat>", "1 hand"))
    fill(made.store, compared, "+-=-")
    said = section(card_of(made), "Blind comparison")
    _, by_prompt = said.split("By prompt, against the base model:")
    assert rows(by_prompt)[2:] == [
        ["a \\<cat\\>", "1", "1", "100 %", "21 % to 100 %", "1"],
        ["1 hand", "0", "2", "0 %", "0 % to 66 %", "0"],
    ]


def test_no_comparison_no_section(made):
    comparison(made.store, made.id)
    assert "Blind comparison" not in card_of(made)


def test_a_run_that_goes_on_names_the_run_before(made):
    before = made.store.create_run(made.run.config)
    with made.store._write() as connection:
        update(connection, made.id, parent_id=before.id, parent_epoch=3)
    text = card_of(made, pictures=("before.png", "after.png"))
    assert f"Goes on from {before.id} after epoch 3." in section(text, "Training")
    assert "The model that the run began with:" in text
    assert "the base model's" not in text
