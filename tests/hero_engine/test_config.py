import subprocess
import sys

import pytest
from pydantic import ValidationError

from hero_engine.config import HERO_PLUS, PRESETS, HeroConfig, make_config, preset
from hero_engine.errors import ConfigError


def test_config_and_errors_do_not_import_torch():
    code = "import sys, hero_engine, hero_engine.config; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_of_the_package_exists():
    import hero_engine

    for name in hero_engine.__all__:
        assert getattr(hero_engine, name) is not None
    with pytest.raises(AttributeError):
        hero_engine.no_such_name  # noqa: B018


def test_every_field_is_described():
    for name, field in HeroConfig.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name):
    assert preset(name, seed=7).seed == 7


def test_presets_are_the_papers():
    hand = preset("hand")
    assert (hand.prompt, hand.num_inference_steps) == ("1 hand", 20)
    assert hand.images_per_epoch * hand.epochs == 1152
    rose = preset("blue-rose")
    assert rose.prompt == "photo of one blue rose in a vase"
    assert (rose.num_inference_steps, rose.images_per_epoch * rose.epochs) == (50, 512)


def test_hero_plus_is_the_method_of_presets_that_know_what_measured_best():
    plus, hero = preset("tiny"), preset("tiny", method="hero")
    assert (plus.method, preset("hand").method) == ("hero+", "hero")
    assert (plus.inner_epochs, plus.snr_weighting) == (0, "snr+1")
    assert (hero.inner_epochs, hero.snr_weighting) == (2, "min-snr")
    assert preset("tiny", method="hero+") == plus
    assert preset("tiny", denoising_steps=5).denoising_steps == 5
    assert preset("hand", method="hero+") == preset("hand").model_copy(update={"method": "hero+"})
    assert set(HERO_PLUS) <= set(PRESETS)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"no preset called 'rose'.*blue-rose"):
        preset("rose")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "  "}, "prompt: must not be empty"),
        ({"images_per_epoch": 0}, "images_per_epoch"),
        ({"images_per_epoch": 1}, "images_per_epoch"),
        ({"trained_steps": 51}, "trained_steps is 51.*num_inference_steps = 50"),
        (
            {"trained_steps": 0},
            r"trained_steps: .*greater than or equal to 1 or .*'all' \(it is 0\)",
        ),
        (
            {"method": "hero+", "denoising_anew": True},
            r"inner_epochs and denoising_full_share have to be 0 with it \(they are 1 and 0\.0\)",
        ),
        ({"reward": "worst"}, "'best', 'positives', 'binary' or 'no-embedding'"),
        ({"eta": 0.0}, "eta"),
        ({"bogus": 4}, "bogus: there is no such setting; there are model, prompt"),
        ({"lora": 4}, r"lora: there is no such setting \(did you mean lora_rank\?\)\.$"),
        ({"Learning-rte": 4}, r"\(did you mean learning_rate\?\)\.$"),
        ({"lr": 4}, r"lr: .* \(did you mean embedding_lr or denoising_lr\?\)\.$"),
    ],
)
def test_bad_fields_are_one_sentence(fields, message):
    with pytest.raises(ConfigError, match=message) as raised:
        make_config(**{"model": "somewhere", "prompt": "a rose", **fields})
    assert "\n" not in str(raised.value)


def test_a_config_cannot_be_changed():
    config = make_config(model="somewhere", prompt=" a rose ")
    assert config.prompt == "a rose"
    with pytest.raises(ValidationError):
        config.seed = 1


def test_a_config_survives_json():
    config = preset("tiny", seed=2)
    assert HeroConfig.model_validate_json(config.model_dump_json()) == config
