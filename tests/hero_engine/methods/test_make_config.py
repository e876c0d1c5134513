import json
from types import NoneType
from typing import Annotated, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hero_engine.config import LoraSettings, ModelSettings, RunConfig, SamplingSettings
from hero_engine.errors import ConfigError
from hero_engine.methods.make_config import (
    common_settings,
    make_config,
    read_config,
    settings_of,
)
from hero_engine.methods.table import METHODS

NEEDED = {"model": "somewhere", "prompt": "a rose"}
OF_METHOD = {"prompt": {"enhanced_prompt": "a fine rose"}}


def made(method="hero", **fields):
    needed = OF_METHOD.get(str(method), {})
    return make_config(**{**NEEDED, **needed, "method": method, **fields})


def message_of(**fields):
    with pytest.raises(ConfigError) as raised:
        made(**fields)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith("The configuration cannot be used: ")
    assert message.endswith(".")
    return message.removeprefix("The configuration cannot be used: ")


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_is_listed_once_and_described(method):
    config = made(method)
    listed = [*common_settings(), *settings_of(method)]
    names = [setting.name for setting in listed]
    assert len(names) == len(set(names))
    unsaid = {"further_prompts", "held_out"}
    assert set(names) == set(config.flat()) - {"format", "method"} | unsaid
    for setting in listed:
        assert setting.description.endswith("."), setting.name
        if setting.name not in (*NEEDED, *OF_METHOD.get(method, {}), *unsaid):
            assert config.flat()[setting.name] == setting.default, setting.name
    assert [s.name for s in common_settings() if s.needed] == ["prompt", "model"]


def test_a_methods_own_settings_are_listed_first():
    assert [setting.name for setting in settings_of("d3po")][:2] == ["d3po_beta", "d3po_clip"]
    with pytest.raises(ConfigError, match=r"There is no method 'd3p' \(did you mean d3po\?\)"):
        settings_of("d3p")


@pytest.mark.parametrize("method", METHODS)
def test_a_configuration_comes_back_from_its_flat_form(method):
    config = made(method, seed=3)
    assert read_config(config.flat()) == (config, {})
    assert read_config(json.loads(json.dumps(config.flat()))) == (config, {})


def strategy_of(annotation, metadata=()):
    """Values that a field allows."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return strategy_of(arguments[0], arguments[1].metadata)
    if origin is Literal:
        return st.sampled_from(arguments)
    if annotation is NoneType:
        return st.none()
    if origin is tuple:
        return st.lists(st.text().filter(str.strip).map(str.strip), min_size=1, max_size=3)
    if arguments:
        return st.one_of(*map(strategy_of, arguments))
    if annotation is bool:
        return st.booleans()
    if annotation is str:
        return st.text().filter(str.strip)
    limits = {key: value for each in metadata for key, value in vars_of(each).items()}
    low = limits.get("ge", limits.get("gt", 0))
    high = limits.get("le", limits.get("lt", low + 500))
    if annotation is int:
        return st.integers(int(low), int(high))
    assert annotation is float
    return st.floats(low, high, exclude_min="gt" in limits, exclude_max="lt" in limits)


def vars_of(limit):
    return {name: getattr(limit, name) for name in ("ge", "gt", "le", "lt") if hasattr(limit, name)}


def fields_of(method):
    """Strategies of the flat settings that a run of the method has."""
    found = {}
    for part, settings in [
        ("", RunConfig),
        ("model", ModelSettings),
        ("", SamplingSettings),
        ("", LoraSettings),
        ("", METHODS[method].settings),
    ]:
        for name, field in settings.model_fields.items():
            flat = part if part and name == "name" else name
            parts = ("name", "model", "sampling", "lora", "method")
            if flat not in (*parts, "further_prompts", "held_out") or part == "model":
                found[flat] = strategy_of(field.annotation, field.metadata)
    return found


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
def test_any_settings_that_are_allowed_come_back_as_they_were(method, data):
    strategies = fields_of(method)
    names = data.draw(st.sets(st.sampled_from(sorted(strategies))))
    fields = {name: data.draw(strategies[name], label=name) for name in sorted(names)}
    trained = fields.get("trained_steps", 5)
    if trained != "all":
        fields["num_inference_steps"] = max(fields.get("num_inference_steps", 50), trained)
    config = made(method, **fields)
    flat = json.loads(json.dumps(config.flat()))
    for name, value in fields.items():
        stripped = value.strip() if name in ("model", "prompt") else value
        assert flat[name] == stripped
    assert read_config(flat) == (config, {})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "  "}, "prompt: must not be empty (it is '  ')."),
        ({"model": ""}, "model: must not be empty (it is '')."),
        (
            {"images_per_epoch": 1},
            "images_per_epoch: Input should be greater than or equal to 2 (it is 1).",
        ),
        ({"eta": 0.0}, "eta: Input should be greater than 0 (it is 0.0)."),
        ({"lora_rank": "many"}, "lora_rank: Input should be a valid integer"),
        ({"mixed_precision": "fp8"}, "mixed_precision: Input should be 'no', 'auto', 'bf16' or "),
        ({"reward": "worst"}, "reward: Input should be 'best', 'positives', 'binary' or 'no-"),
        (
            {"trained_steps": 0},
            "trained_steps: Input should be greater than or equal to 1 or Input should be 'all' "
            "(it is 0).",
        ),
        (
            {"trained_steps": 51},
            "trained_steps is 51, but an image has only num_inference_steps = 50 steps to train on;"
            " lower trained_steps or raise num_inference_steps.",
        ),
        (
            {"method": "prompt", "enhanced_prompt": " "},
            "method is prompt, but there is no enhanced_prompt; say the prompt to draw with.",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_one_sentence(fields, message):
    assert message_of(**fields).startswith(message)


def test_all_problems_are_said_at_once():
    said = message_of(prompt="", eta=2.0, learning_rate=-1, lora_rank=0, bogus=1)
    for name in ("prompt", "eta", "learning_rate", "lora_rank", "bogus"):
        assert f"{name}: " in said
    assert said.count(";") == 5


def test_what_has_to_be_said_and_is_not():
    with pytest.raises(ConfigError) as raised:
        make_config(seed=1)
    assert str(raised.value) == (
        "The configuration cannot be used: model: Field required; prompt: Field required."
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lora": 4}, "lora: there is no such setting (did you mean lora_rank?)."),
        (
            {"Learning-rte": 4},
            "Learning-rte: there is no such setting (did you mean learning_rate?).",
        ),
        (
            {"lr": 4},
            "lr: there is no such setting (did you mean embedding_lr?).",
        ),
        (
            {"method": "dreambooth", "bogus": 4},
            "bogus: there is no such setting; `hero methods dreambooth` lists those there are.",
        ),
        ({"name": "hero"}, "name: there is no such setting"),
        ({"sampling": {}}, "sampling: there is no such setting"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_one_that_was_meant(fields, message):
    assert message_of(**fields).startswith(message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"d3po_beta": 0.1},
            "d3po_beta: it is a setting of d3po, and this run's method is hero; leave it out, or "
            "set method to d3po.",
        ),
        (
            {"method": "d3po", "margin": 0.1},
            "margin: it is a setting of hero and hero+, and this run's method is d3po; leave it "
            "out, or set method to hero or hero+.",
        ),
        (
            {"method": "hero+", "learning_rate": 1e-3},
            "learning_rate: it is a setting of hero, d3po and ddpo, and this run's method is hero+"
            "; leave it out, or set method to hero, d3po or ddpo.",
        ),
        (
            {"method": "prompt", "step_back_drop": 0.1},
            "step_back_drop: it is a setting of hero, hero+, d3po, ddpo and dreambooth, and",
        ),
    ],
)
def test_a_setting_of_another_method_is_refused_with_the_methods_that_have_it(fields, message):
    assert message_of(**fields).startswith(message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"denoising_weights": "uniform"},
            "denoising_weights: it was removed, since hero+ always draws good images by their "
            "rarity; leave it out.",
        ),
        (
            {"lora_ema_decay": 0.9},
            "lora_ema_decay: it was removed, since it did not pay (docs/research.md); leave it "
            "out.",
        ),
        ({"method": "hero+", "denoising_anew": True}, "denoising_anew: it was removed, since"),
        ({"method": "hero+", "nft_beta": 0.5}, "nft_beta: it was removed, since"),
        (
            {"method": "hero+", "inner_epochs": 2},
            "inner_epochs: it is a setting of hero, d3po and ddpo, and this run's method is hero+",
        ),
        ({"method": "hero+", "reward": "binary"}, "reward: it is a setting of hero, and"),
    ],
)
def test_a_removed_setting_is_refused_with_the_reason(fields, message):
    assert message_of(**fields).startswith(message)


@pytest.mark.parametrize(
    "fields",
    [
        {
            "denoising_weights": "rarity",
            "denoising_space": "latents",
            "denoising_replay": True,
            "snr_weighting": "snr+1",
            "snr_gamma": 3.0,
            "max_denoising_change": 0.0,
            "denoising_guided": False,
            "denoising_anew": False,
            "negative_share": 0.0,
            "nft_beta": 1,
            "unconditional_weight": 0,
            "embedding_replay": False,
            "embedding_ensemble": 1,
            "disagreement_weight": 0.0,
            "lora_ema_decay": 0.0,
            "inner_epochs": 0,
            "reward": "best",
        },
        {"denoising_anew": "false", "nft_beta": "1.0", "denoising_replay": "true"},
    ],
    ids=["as values", "as the command line gives them"],
)
def test_removed_settings_that_ask_for_what_is_done_anyway_are_accepted(fields):
    assert made("hero+", **fields) == made("hero+")


def test_an_unknown_method_is_refused_with_the_one_that_was_meant():
    assert message_of(method="hero-plus").startswith("method: there is no method 'hero-plus' (did")
    assert message_of(method="ppo").endswith(
        "choose one of hero, hero+, d3po, ddpo, dreambooth, prompt."
    )
    for odd in (None, 3, ["hero"]):
        assert message_of(method=odd).startswith(f"method: there is no method {odd}")


def test_a_configuration_of_a_newer_version_is_refused():
    with pytest.raises(
        ConfigError, match=r"has format 3, and this version reads formats 1 to 2: a"
    ):
        read_config({**made().flat(), "format": 3, "what_is_new": 1})
