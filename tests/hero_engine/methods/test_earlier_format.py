"""Configurations and checkpoints as commit 9425af8 wrote them."""

import json
import logging
from pathlib import Path

import pytest
import torch

from hero_engine.methods.base import Method
from hero_engine.methods.earlier_format import REMOVED, migrated_files
from hero_engine.methods.hero import Hero
from hero_engine.methods.make_config import read_config
from hero_engine.methods.table import METHODS
from hero_engine.storage.batch import Feedback
from hero_engine.storage.checked import read_checked
from tinyworld.bundled import PIPELINE

DUMPS = json.loads((Path(__file__).parent / "format_1.json").read_text())
"""Every field at its default, and the preset of the tiny model: all that was ever written."""
HALF_GOOD = Feedback((True, False) * 4, best=0)


def dump(method, **fields):
    prompt = {"enhanced_prompt": "a fine rose"} if method == "prompt" else {}
    return {**DUMPS["defaults"], "method": method, **prompt, **fields}


NEEDED = {"model": "somewhere", "prompt": "a rose"}


@pytest.mark.parametrize("method", METHODS)
def test_a_configuration_of_every_method_keeps_what_it_was_set_to(method):
    stored = dump(method, seed=7, lora_rank=2)
    config, dropped = read_config(stored)
    flat = config.flat()
    assert flat["format"] == 1
    kept = {name: value for name, value in stored.items() if name in flat}
    assert {name: flat[name] for name in kept} == kept
    new = {name: flat[name] for name in set(flat) - set(kept) - {"format"}}
    later = dict.fromkeys(("height", "width", "revision", "pipeline_config"))
    as_it_was = {
        "held_share": 0.0,
        "held_weight": 10.0,
        "keep_best": False,
        "until": "never",
        "keep": "none",
        "keep_weight": 1.0,
    }
    assert new == {**later, **(as_it_was if method == "hero+" else {}), "memory": "auto"}
    assert set(dropped) == (
        {"denoising_weights", "denoising_space", "snr_weighting", "inner_epochs"}
        if method == "hero+"
        else set()
    )
    assert read_config(json.loads(json.dumps(flat))) == (config, {})


@pytest.mark.parametrize("method", METHODS)
def test_what_was_not_said_is_what_it_was_then(method):
    """Commits before 9425af8 wrote fewer fields."""
    stored = {**NEEDED, "method": method}
    if method == "prompt":
        stored["enhanced_prompt"] = "a fine rose"
    assert read_config(stored) == read_config(dump(method, **NEEDED))


def test_before_there_were_other_methods_there_was_hero():
    stored = dump("hero")
    for name in ("method", "reward", "noise"):
        del stored[name]
    assert read_config(stored) == read_config(dump("hero"))


def test_a_run_of_the_tiny_model_goes_on_without_loss_wherever_it_was_begun():
    config, dropped = read_config(DUMPS["tiny"])
    assert dropped == {}
    assert (config.model.name, config.method.name, config.format) == ("tiny", "hero+", 1)
    assert config.method.denoising_steps == 120


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("/home/somebody/hero/tinyworld/pipeline", "tiny"),
        (str(PIPELINE), str(PIPELINE)),
        ("/home/somebody/pipeline", "/home/somebody/pipeline"),
        ("runwayml/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5"),
    ],
)
def test_the_bundled_model_is_found_again_where_its_folder_is_gone(written, read):
    assert read_config(dump("hero", model=written))[0].model.name == read


REMOVED_AND_SET = {
    "denoising_weights": "novelty",
    "denoising_space": "embedding",
    "denoising_replay": False,
    "snr_weighting": "min-snr",
    "max_denoising_change": 0.1,
    "denoising_guided": True,
    "denoising_anew": True,
    "negative_share": "judged",
    "nft_beta": 0.1,
    "unconditional_weight": 1.0,
    "embedding_replay": True,
    "embedding_ensemble": 3,
    "disagreement_weight": 1.0,
    "lora_ema_decay": 0.9,
}


def test_what_is_no_more_is_reported_for_the_methods_that_it_changed():
    assert set(REMOVED_AND_SET) == set(REMOVED) - {"snr_gamma"}
    of = {method: set(read_config(dump(method, **REMOVED_AND_SET))[1]) for method in METHODS}
    of_all, of_embeddings = {"lora_ema_decay"}, {"embedding_ensemble", "disagreement_weight"}
    assert of == {
        "hero": of_all | of_embeddings,
        "hero+": set(REMOVED_AND_SET) | {"inner_epochs"},
        "d3po": of_all,
        "ddpo": of_all,
        "dreambooth": of_all,
        "prompt": set(),
    }
    _, dropped = read_config({**DUMPS["tiny"], "negative_share": 0.25, "reward": "binary"})
    assert dropped == {"negative_share": 0.25, "reward": "binary"}


def test_the_denoising_optimizer_is_the_only_one_now():
    files = {name: name for name in ("lora", "optimizer", "denoising_optimizer", "noise")}
    files |= {f"before-{name}": f"before-{name}" for name in list(files)[:3]}
    assert migrated_files("hero+", files) == {
        "lora": "lora",
        "optimizer": "denoising_optimizer",
        "noise": "noise",
        "before-lora": "before-lora",
        "before-optimizer": "before-denoising_optimizer",
    }
    assert migrated_files("hero", files) == files


def as_format_1(folder, **fields):
    """Make a checkpoint one of format 1, in which hero+ had two optimizers."""
    state = read_checked(folder / "state.json")
    method = state["config"]["method"]
    state["config"] = {**dump(method), **state["config"], **fields}
    del state["config"]["format"]
    state["format"] = 1
    if method == "hero+":
        file, second = (folder / f"{name}optimizer.safetensors" for name in ("", "denoising_"))
        file.rename(second)
        state["sha256"][second.name] = state["sha256"].pop(file.name)
    (folder / "state.json").write_text(json.dumps(state))


@pytest.mark.parametrize(
    "fields", [{}, {"method": "hero+", "denoising_steps": 2}], ids=["hero", "hero+"]
)
def test_a_run_of_format_1_goes_on_and_stays_one(make_config, tmp_path, fields, caplog):
    run = Method.create(make_config(**fields, format=1))
    run.learn(run.generate(), HALF_GOOD)
    run.save(tmp_path / "old")
    now = run.config.flat()
    nothing_lost = {**DUMPS["tiny"], **now} if fields else now
    as_format_1(tmp_path / "old", **nothing_lost)
    with caplog.at_level(logging.WARNING):
        again = Method.resume(tmp_path / "old")
    assert not caplog.records
    assert again.config == run.config
    assert again.config.format == 1
    reports = [each.learn(each.generate(), HALF_GOOD) for each in (run, again)]
    assert reports[0].updated
    for name, tensor in run.policy.lora_state().items():
        assert torch.equal(again.policy.lora_state()[name], tensor)
    again.save(tmp_path / "new")
    as_held = {**run.config.flat(), "memory": "high"}
    assert Method.resume(tmp_path / "new").config.flat() == as_held


def test_a_run_that_loses_settings_says_so(make_config, tmp_path, caplog):
    hero = Hero.create(make_config())
    hero.save(tmp_path / "old")
    as_format_1(tmp_path / "old", lora_ema_decay=0.9)
    with caplog.at_level(logging.WARNING):
        Method.resume(tmp_path / "old")
    assert "with lora_ema_decay = 0.9, which was removed; the run goes on without" in caplog.text
