import subprocess
import sys

import pytest
from pydantic import ValidationError

from hero_engine.config import LoraSettings, ModelSettings, RunConfig, SamplingSettings
from hero_engine.errors import ConfigError
from hero_engine.methods.make_config import make_config
from hero_engine.methods.table import METHODS


def test_configurations_and_errors_do_not_import_torch():
    modules = (
        "hero_engine, hero_engine.config, hero_engine.presets, hero_engine.methods.table, "
        "hero_engine.methods.make_config, hero_engine.models.names"
    )
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_of_the_package_exists():
    import hero_engine

    for name in hero_engine.__all__:
        assert getattr(hero_engine, name) is not None
    with pytest.raises(AttributeError):
        hero_engine.no_such_name  # noqa: B018


PARTS = [ModelSettings, SamplingSettings, LoraSettings]
OWN = set(RunConfig.model_fields) - {"model", "sampling", "lora", "method"}


@pytest.mark.parametrize("method", METHODS)
def test_no_two_settings_share_a_flat_name(method):
    names = [*OWN, "model", "method"]
    for part in [*PARTS, METHODS[method].settings]:
        names += [name for name in part.model_fields if name != "name"]
    assert len(names) == len(set(names))
    fields = {"enhanced_prompt": "a fine rose"} if method == "prompt" else {}
    takes_several = METHODS[method].settings.several_prompts
    several = {"further_prompts": ["a cat"]} if takes_several else {}
    flat = make_config(
        method=method, model="somewhere", prompt="a rose", held_out=["a dog"], **several, **fields
    ).flat()
    assert sorted(flat) == sorted(set(names) - (set() if takes_several else {"further_prompts"}))
    assert (flat["model"], flat["method"]) == ("somewhere", method)


def test_a_config_cannot_be_changed():
    config = make_config(model=" somewhere ", prompt=" a rose ")
    assert (config.prompt, config.model.name) == ("a rose", "somewhere")
    for part, name in [(config, "seed"), (config.lora, "lora_rank"), (config.method, "margin")]:
        with pytest.raises(ValidationError):
            setattr(part, name, 1)
    other = config.replaced(seed=5)
    assert (config.seed, other.seed, other.method) == (0, 5, config.method)


def test_batch_sizes_are_numbers_or_left_to_a_trial():
    usual = {"model": "somewhere", "prompt": "a rose"}
    auto = make_config(**usual)
    assert (auto.sampling.sample_batch_size, auto.method.forward_batch_size) == ("auto", "auto")
    assert (auto.sampling.images_at_once, auto.method.latents_at_once) == (8, 2)
    said = make_config(**usual, sample_batch_size="32", forward_batch_size=40)
    assert (said.sampling.images_at_once, said.method.latents_at_once) == (32, 40)
    assert make_config(**said.flat()) == said
    for wrong in (0, -1, "large", 2.5):
        for name in ("sample_batch_size", "forward_batch_size"):
            with pytest.raises(ConfigError, match=f"{name}: .*'auto'.*it is {wrong!r}"):
                make_config(**usual, **{name: wrong})
