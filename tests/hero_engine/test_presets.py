import json

import pytest

from hero_engine.errors import ConfigError
from hero_engine.methods.hero_plus_settings import HeroPlusSettings
from hero_engine.methods.make_config import read_config
from hero_engine.methods.table import METHODS
from hero_engine.presets import PRESETS, preset

NEEDED = {"prompt": {"enhanced_prompt": "a fine rose"}}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_for_every_method_and_comes_back_from_json(name, method):
    config = preset(name, method=method, seed=7, **NEEDED.get(method, {}))
    assert (config.seed, config.method.name) == (7, method)
    assert read_config(config.flat()) == (config, {})
    assert read_config(json.loads(json.dumps(config.flat()))) == (config, {})


def test_presets_are_the_papers():
    hand = preset("hand")
    assert (hand.prompt, hand.sampling.num_inference_steps) == ("1 hand", 20)
    assert hand.images_per_epoch * hand.epochs == 1152
    rose = preset("blue-rose")
    assert rose.prompt == "photo of one blue rose in a vase"
    assert rose.sampling.num_inference_steps == 50
    assert rose.images_per_epoch * rose.epochs == 512


def test_hero_plus_is_the_method_of_the_preset_that_knows_what_measured_best():
    plus, hero = preset("tiny"), preset("tiny", method="hero")
    assert (plus.method.name, preset("hand").method.name) == ("hero+", "hero")
    assert (plus.model.name, hero.model.name) == ("tiny", "tiny")
    assert (hero.method.inner_epochs, hero.method.trained_steps) == (2, 10)
    assert plus.method == HeroPlusSettings(
        best_image_ratio=0.0,
        noise_variance=0.03,
        embedding_lr=1e-3,
        embedding_steps=120,
        forward_batch_size=40,
    )
    assert preset("tiny", method="hero+") == plus
    assert preset("tiny", denoising_steps=5).method.denoising_steps == 5


def test_what_was_measured_best_is_the_default_of_hero_plus():
    fields = {
        "fresh_share": 0.5,
        "denoising_steps": 120,
        "denoising_lr": 1e-3,
        "denoising_repeats": 16,
        "denoising_full_share": 0.25,
        "first_step_share": 1 / 16,
        "pretrained_weight": 1.0,
        "keep_best": True,
        "until": 0.95,
        "step_back_drop": 0.0,
    }
    assert {name: getattr(HeroPlusSettings(), name) for name in fields} == fields


def test_an_unknown_preset_or_method_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"no preset called 'rose'.*blue-rose"):
        preset("rose")
    with pytest.raises(ConfigError, match=r"no method 'hera' \(did you mean hero\?\)"):
        preset("tiny", method="hera")
    with pytest.raises(ConfigError, match=r"no method \['hero'\]"):
        preset("tiny", method=["hero"])
