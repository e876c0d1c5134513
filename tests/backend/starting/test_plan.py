"""`hero start`'s options and its YAML file, as one plan."""

import inspect
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from backend.cli.start import start
from backend.errors import BadInput
from backend.run.labelling import Labelling
from backend.settings import Settings
from backend.starting.plan import file_keys, make_plan, read_file

EXAMPLE = Path(__file__).parents[3] / "docs" / "run.example.yaml"


@pytest.fixture
def file(tmp_path: Path):
    """Writes a file of options."""

    def write(text: str) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return path

    return write


def test_the_example_of_the_documentation_is_a_plan(settings: Settings):
    plan, config = make_plan(settings, {}, EXAMPLE)
    assert plan.labelling == Labelling(
        annotators_per_image=2,
        annotators=("ada@example.com", "bert@example.com"),
        adjudicators=("lead@example.com",),
        order="uncertain",
        label_budget=32,
        criteria="One rose, blue petals, standing in a vase; nothing else in the picture.",
    )
    assert (config.flat()["learning_rate"], config.sampling.num_inference_steps, plan.title) == (
        0.005, 20, "Blue roses",
    )  # fmt: skip


def test_the_example_shows_every_option():
    shown = yaml.safe_load(EXAMPLE.read_text()).keys() | {
        "from",
        "with_labels",
        "model",
        "revision",
        "height",
        "width",
        "memory",
        "prompts",
        "held_out",
        "project",
        "until",
        "keep",
    }
    assert shown == set(file_keys())


def test_the_file_takes_what_the_command_takes():
    options = set(inspect.signature(start).parameters) - {"config", "setting", "no_trial", "words"}
    options = options - {"from_run"} | {"set", "from"}
    assert options | {"format"} == set(file_keys())


FOREIGN = "prompt: a cup\nmethod: hero+\ntrained_steps: 3\nset: {learning_rate: 1, margin: 0.4}"


def test_a_file_of_the_first_format_may_set_what_its_method_lacks(settings: Settings, file):
    plan, config = make_plan(settings, {}, file(FOREIGN))
    assert config.flat()["margin"] == 0.4
    (note,) = plan.notes
    assert "trained_steps, learning_rate in" in note and "left out" in note


@pytest.mark.parametrize(
    ("text", "options", "left"),
    [
        (f"format: 2\n{FOREIGN}", {}, "trained_steps and learning_rate"),
        ("prompt: a cup\nmethod: hero+", {"trained_steps": 3}, "trained_steps"),
        ("prompt: a cup\nmethod: hero+", {"set": {"learning_rate": "1"}}, "learning_rate"),
        ("prompt: a cup\nset: {snr_weighting: min-snr}", {}, "snr_weighting"),
    ],
)
def test_all_others_are_refused(settings: Settings, file, text, options, left):
    with pytest.raises(BadInput, match=f"{left}: .*leave .* out.* Correct "):
        make_plan(settings, options, file(text))


def test_options_win_over_the_file(settings: Settings, file):
    path = file(
        "prompt: a cup\nlabel-budget: 16\nepochs: 3\nset: {margin: 0.4, lora_rank: 2}\n"
        "annotators: a@x\nannotators_per_image: 2"
    )
    options = {"epochs": 4, "set": {"margin": "0.6"}, "annotators": "a@x,B@x", "layout": None}
    plan, config = make_plan(settings, options, path)
    assert (config.prompt, config.epochs) == ("a cup", 4)
    assert (config.flat()["margin"], config.lora.lora_rank) == (0.6, 2)
    assert plan.labelling == Labelling(
        label_budget=16, annotators=("a@x", "b@x"), annotators_per_image=2
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layuot: image", ["'layuot' in {path}", "did you mean layout?"]),
        ("layout: page", ["layout in {path}", "'image' or 'gallery'", "'page'"]),
        ("annotators: [ada]", ["annotators in {path}", "'ada' is no e-mail"]),
        ("prompt: x\nimages: 1", ["images_per_epoch", "Correct images in {path}"]),
        ("prompt: x\nimages: a", ["images in {path}", "integer"]),
        ("prompt: x\nset: {margni: 1}", ["margni", "you mean margin?", "Correct set in {path}"]),
        ("prompt: x\nset: 3", ["set in {path}", "dictionary"]),
        ("prompt: x\nlabel_budget: 65", ["label_budget in {path} is 65", "64 images"]),
        ("order: uncertain\nlabel_budget: 3\nlabel-budget: 4", ["label_budget twice"]),
        ("layout image", ["holds no options"]),
        ("a: [", ["no YAML"]),
        ("preset: rose", ["'rose'", "blue-rose"]),
        ("", ["--prompt"]),
    ],
)
def test_what_a_file_cannot_say_is_named_with_its_place(settings, file, text, words):
    path = file(text)
    with pytest.raises(BadInput) as caught:
        make_plan(settings, {}, path)
    assert [word for word in words if word.format(path=path) not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str):
    with pytest.raises(BadInput, match="--config"):
        read_file(tmp_path / name)


@given(
    st.dictionaries(
        st.sampled_from(file_keys()) | st.text(max_size=4),
        st.none() | st.integers(-3, 9) | st.text(max_size=6) | st.lists(st.text(max_size=3)),
        max_size=4,
    )
)
def test_any_file_is_a_plan_or_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("plan") / "run.yaml"
    path.write_text(yaml.safe_dump(content))
    try:
        make_plan(Settings(home=path.parent), {"prompt": "x"}, path)
    except BadInput as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"title": "ros\udce9"}, "--title"),
        ({"criteria": "ros\udce9"}, "--criteria"),
        ({"prompt": "ros\udce9"}, "--prompt"),
        ({"model": "ros\udce9"}, "--model"),
        ({"annotators": "ros\udce9@example.com"}, "--annotators"),
        ({"set": {"class_prompt": "ros\udce9"}}, "--set"),
    ],
)
def test_every_option_that_is_a_text_has_to_be_one(settings: Settings, options, option):
    with pytest.raises(BadInput, match=f"{option} is no text: the bytes at its 4. character"):
        make_plan(settings, {"preset": "tiny", **options})


def test_control_characters_are_no_text(settings: Settings, file):
    with pytest.raises(BadInput, match=r"--prompt is no text: its 2\. character is a control"):
        make_plan(settings, {"preset": "tiny", "prompt": "a\x07rose"})
    path = file('preset: tiny\nprompt: "a\\0rose"\n')
    with pytest.raises(BadInput, match=rf"prompt in {path} is no text: its 2\. character"):
        make_plan(settings, {}, path)
    make_plan(settings, {"preset": "tiny", "criteria": "Whole.\n\tAnd red."})


def test_a_prompt_that_yaml_takes_for_something_else(settings: Settings, file):
    path = file("preset: tiny\nprompt: 5\n")
    with pytest.raises(BadInput, match=r"prompt in .*: this should be text; put quotes round it"):
        make_plan(settings, {}, path)


def test_a_text_of_a_file_has_to_be_one(settings: Settings, file):
    path = file('preset: tiny\ntitle: "ros\\ud800"\n')
    with pytest.raises(BadInput, match=f"title in {path} is no text"):
        make_plan(settings, {}, path)


# -- several prompts -------------------------------------------------------------------------------

TWO = "# the rooms\na cat | one cat\n\n1 hand\n"


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text(TWO)
    return path


def test_a_file_of_prompts(settings: Settings, prompts: Path):
    options = {"prompts": str(prompts), "held_out": ["a dog"]}
    plan, config = make_plan(settings, options)
    assert (config.prompts, config.held_out) == (("a cat", "1 hand"), ("a dog",))
    said = plan.labelling.criteria_by_prompt
    assert said["a cat"] == "one cat"
    assert said["1 hand"].startswith("A hand has exactly five fingers")  # as the paper says


def test_criteria_for_all_and_for_one(settings: Settings, file):
    text = "prompts: [a cat | one cat, a dog]\ncriteria: sharp"
    plan, _ = make_plan(settings, {}, file(text))
    assert plan.labelling.criteria_of("a cat") == "one cat"
    assert plan.labelling.criteria_of("a dog") == "sharp"


def test_one_prompt_of_a_file_is_a_run_of_one(settings: Settings):
    plan, config = make_plan(settings, {"prompts": ["a cat | one cat"]})
    assert (config.prompts, plan.labelling.criteria) == (("a cat",), "one cat")
    assert plan.labelling.criteria_by_prompt == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompts": ["a cat", "a cat | x"]}, "'a cat' is there twice"),
        ({"prompts": ["a cat", "a dog"], "held_out": ["a dog"]}, "'a dog' is there twice"),
        ({"prompts": ["a cat", "| x"]}, "has no prompt"),
        ({"prompts": ["a cat", "a dog"], "images": 6}, "each needs 4; raise images_per_epoch to 8"),
        ({"prompts": ["a cat", "a dog"], "method": "d3po"}, "has one prompt"),
        ({"prompts": "/nowhere/prompts.txt"}, "Cannot read /nowhere/prompts.txt"),
    ],
)
def test_prompts_that_cannot_be_used(settings: Settings, options: dict, said: str):
    with pytest.raises(BadInput, match=re.escape(said)):
        make_plan(settings, options)


@pytest.mark.parametrize(
    ("options", "suggests"),
    [
        ({"layout": "gallery"}, True),
        ({"layout": "image"}, False),
        ({"layout": "gallery", "order": "best-first"}, False),
        ({"layout": "gallery", "order": "best-first", "suggestions": True}, True),
        ({"layout": "gallery", "suggestions": False}, False),
    ],
)
def test_a_gallery_suggests_where_an_images_place_says_nothing(
    settings: Settings, options: dict, suggests: bool
):
    plan, _ = make_plan(settings, {"prompt": "1 hand", **options})
    assert plan.labelling.suggestions is suggests
