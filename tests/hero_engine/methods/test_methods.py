"""What every method does alike."""

import importlib
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from hero_engine.errors import ConfigError, NoiseBankEmpty
from hero_engine.methods import feedback_method
from hero_engine.methods.base import Method
from hero_engine.methods.check_run import check_run
from hero_engine.methods.table import METHODS
from hero_engine.models.export import export_noise
from hero_engine.models.flux import Flux
from hero_engine.models.flux2 import Flux2Klein
from hero_engine.models.sd3 import StableDiffusion3
from hero_engine.storage.batch import Feedback
from hero_engine.storage.checkpoint import Checkpoint
from tests.hero_engine.tiny import MAKERS

HALF_GOOD = Feedback(good=(True, False) * 4, best=2)
OF_METHOD = {
    "hero+": {"denoising_steps": 2, "denoising_batch_size": 4, "denoising_full_share": 0.0},
    "dreambooth": {"denoising_steps": 2, "denoising_batch_size": 4, "prior_images": 3},
    "prompt": {"enhanced_prompt": "a fine rose"},
}
BASELINES = sorted(set(METHODS) - {"hero", "hero+"})


def by_brightness(images, prompts):
    return [sum(image.convert("L").tobytes()) / 1e4 for image in images]


def parts_of(method):
    return {"reward": by_brightness} if method == "ddpo" else {}


@pytest.fixture
def create(make_config):
    def create(method, **overrides):
        config = make_config(method=method, **{**OF_METHOD.get(method, {}), **overrides})
        return Method.create(config, **parts_of(method))

    return create


@pytest.fixture(params=MAKERS)
def create_in_family(request, create, pipelines, monkeypatch):
    """`create` with a model of each family that reads 16 tokens, few of them padding."""
    for family in (StableDiffusion3, Flux, Flux2Klein):
        monkeypatch.setattr(family, "max_sequence_length", 16)
    return partial(create, model=str(pipelines[request.param]))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_the_table_has_settings_of_its_name_and_a_class(method):
    entry = METHODS[method]
    assert entry.settings.model_fields["name"].default == method
    module, name = entry.code.split(":")
    assert issubclass(getattr(importlib.import_module(module), name), Method)
    assert entry.summary.endswith(".")
    assert "\n" not in entry.summary


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_run_ends_as_one_that_was_not(create_in_family, tmp_path, method):
    through = create_in_family(method)
    through.learn(through.generate(), HALF_GOOD)
    through.save(tmp_path / "first")
    batch = through.generate()
    report = through.learn(batch, Feedback((True, False) * 4))
    through.save(tmp_path / "through")

    stopped = Method.resume(tmp_path / "first", **parts_of(method))
    assert type(stopped) is type(through)
    again = stopped.generate()
    assert torch.equal(again.latents, batch.latents)
    assert stopped.learn(again, Feedback((True, False) * 4)).to_dict() | {
        "seconds": None
    } == report.to_dict() | {"seconds": None}
    stopped.save(tmp_path / "stopped")
    one, other = (Checkpoint.load(tmp_path / name) for name in ("through", "stopped"))
    assert (one.epoch, one.facts) == (other.epoch, other.facts)
    for file, tensors in one.tensors.items():
        assert tensors.keys() == other.tensors[file].keys()
        assert all(torch.equal(t, other.tensors[file][name]) for name, t in tensors.items())


@pytest.mark.parametrize("method", METHODS)
def test_learning_changes_the_lora_that_is_exported(create_in_family, tmp_path, method):
    run = create_in_family(method)
    before = run.sample(2, seed=1).latents
    report = run.learn(run.generate(), HALF_GOOD)
    changed = not torch.equal(run.sample(2, seed=1).latents, before)
    assert report.updated == changed == (method != "prompt")
    lora = run.export_lora(tmp_path / "run.safetensors")
    if changed:
        run.policy.pipe.unload_lora_weights()
        assert torch.equal(run.sample(2, seed=1).latents, before)
        run.policy.pipe.load_lora_weights(lora)
        assert not torch.equal(run.sample(2, seed=1).latents, before)


@pytest.mark.parametrize("method", METHODS)
def test_batches_of_one_kind_break_nothing(create, method):
    run = create(method)
    for epoch, verdict in enumerate((None, False, True)):
        report = run.learn(run.generate(), Feedback((verdict,) * 8))
        assert run.epoch == epoch + 1
        assert report.success_rate == (None if verdict is None else float(verdict))
        learns_anyway = method == "ddpo" or (verdict and method in ("hero+", "dreambooth"))
        assert report.updated == bool(learns_anyway)
        assert bool(report.note) != report.updated or method == "hero+"


@pytest.mark.parametrize("method", ["hero", "hero+"])
def test_good_noises_are_kept_and_verdicts_predicted(create_in_family, tmp_path, method):
    run = create_in_family(method)
    batch = run.generate()
    run.learn(batch, HALF_GOOD)
    assert torch.equal(run.bank.good, batch.noises[::2])
    assert torch.equal(run.bank.best, batch.noises[2])
    assert not torch.equal(run.generate().noises, batch.noises)
    drawn = run.sample(3, noise="bank", seed=1)
    assert drawn.latents.isfinite().all()
    assert torch.equal(run.sample(3, noise="bank", seed=1).latents, drawn.latents)
    predicted = run.predict(batch.latents)
    assert len(predicted) == 8
    assert max(range(8), key=predicted.__getitem__) == 2
    run.save(tmp_path / "saved")
    bank = load_file(export_noise(Checkpoint.load(tmp_path / "saved"), tmp_path / "noise"))
    assert torch.equal(bank["good"], run.bank.good)
    euler, again = (run.sample(2, scheduler="euler", seed=1).latents for _ in range(2))
    assert torch.equal(euler, again)
    assert euler.shape == (2, *run.policy.latent_shape)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        *((method, {}) for method in METHODS),
        ("hero", {"reward": "binary"}),
        ("hero", {"reward": "no-embedding"}),
    ],
)
def test_the_embedding_is_trained_for_rewards_that_it_measures(
    create, monkeypatch, method, settings
):
    """They are on the run page, and say from which similarity on a suggestion is good."""
    trained = []

    def train(*arguments, **named):
        trained.append(named["steps"])
        return original(*arguments, **named)

    original = feedback_method.train_embedding
    monkeypatch.setattr(feedback_method, "train_embedding", train)
    run = create(method, **settings)
    assert run.learn(run.generate(), Feedback((False,) * 8)).embedding_loss is None
    assert trained == []  # nothing good to be like, and no reward
    batch = run.generate()
    report = run.learn(batch, HALF_GOOD)
    measured = method in ("hero", "hero+") and not settings
    assert trained == [5] * measured
    assert (report.embedding_loss is not None) == measured
    if measured:
        assert run.predict(batch.latents) == pytest.approx(report.rewards)
    run.generate()
    assert trained == [5] * measured


@pytest.mark.parametrize("method", BASELINES)
def test_baselines_predict_nothing_and_keep_no_noises(create, method):
    run = create(method)
    batch = run.generate()
    run.learn(batch, HALF_GOOD)
    assert run.predict(batch.latents) is None
    with pytest.raises(NoiseBankEmpty, match=f"method {method} keeps no noises"):
        run.sample(1, noise="bank")


def test_the_enhanced_prompt_is_drawn(create, make_config):
    run = create("prompt")
    assert run.generate().prompt == "a fine rose"
    plain = create("hero")
    assert torch.equal(run.sample(1, prompt="one rose").latents, plain.sample(1).latents)
    assert not torch.equal(run.sample(1).latents, plain.sample(1).latents)
    (warning,) = check_run(make_config(method="prompt", enhanced_prompt="a very fine blue rose"))
    assert warning.startswith("The enhanced prompt has")


def test_what_a_method_needs_is_said_before_it_starts(make_config):
    with pytest.raises(ConfigError, match="there is no enhanced_prompt"):
        make_config(method="prompt")
    for start in (check_run, Method.create):
        with pytest.raises(ConfigError, match="set reward_model to pickscore"):
            start(make_config(method="ddpo"))
