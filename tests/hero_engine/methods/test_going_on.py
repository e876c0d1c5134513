"""A run that begins with what another one has learned."""

import pytest
import torch

from hero_engine.errors import ConfigError
from hero_engine.methods.base import Method
from hero_engine.methods.going_on import go_on_from
from hero_engine.storage.batch import Feedback

MIXED = Feedback((True, False, True, False) * 2, best=0)
BAD = Feedback((False,) * 8)
FIELDS = {"method": "hero+", "denoising_steps": 4, "denoising_batch_size": 4}


@pytest.fixture
def learned(make_config, tmp_path):
    """A run of so many epochs, saved; its first batch is the better one."""

    def learn(*feedback, **fields):
        run = Method.create(make_config(**{**FIELDS, **fields}))
        for said in feedback:
            run.learn(run.generate(), said)
        run.save(tmp_path / "checkpoint")
        return run, tmp_path / "checkpoint"

    return learn


def same(one, other):
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_it_begins_with_the_model_that_people_get(learned, make_config):
    run, checkpoint = learned(MIXED, MIXED)
    with run.run_model():
        given = run.policy.lora_state()
    assert not same(given, run.policy.lora_state()), "the newest is not judged yet"
    later = go_on_from(checkpoint, make_config(**FIELDS, seed=9))
    assert same(later.policy.lora_state(), given)
    assert later.epoch == 0
    assert later.optimizer.state_dict()["state"] == {}
    assert len(later.replay.good) == 0


def test_the_teacher_stays_the_pretrained_model(learned, make_config):
    _, checkpoint = learned(MIXED)
    later = go_on_from(checkpoint, make_config(**FIELDS))
    plain = Method.create(make_config(**FIELDS))
    z_t = torch.randn(2, *plain.policy.latent_shape)
    steps = plain.schedule.timesteps[:2]
    predicted = []
    for run in (later, plain):
        denoise = run.policy.denoiser(run.prompt, guided=False)
        with torch.no_grad(), run.policy.pretrained():
            predicted.append(denoise(z_t, steps))
    assert predicted[0].equal(predicted[1])
    with torch.no_grad():
        denoise = later.policy.denoiser(later.prompt, guided=False)
        assert not denoise(z_t, steps).equal(predicted[0])


def test_labels_are_taken_over_where_that_is_wished(learned, make_config):
    run, checkpoint = learned(MIXED, BAD)
    later = go_on_from(checkpoint, make_config(**FIELDS, seed=9), with_labels=True)
    assert later.replay.latents.equal(run.replay.latents)
    assert later.replay.good.tolist() == [*MIXED.good, *BAD.good]
    assert later.learn(later.generate(), BAD).updated, "it learns from the earlier good images"


def test_a_run_of_another_method_may_go_on_without_labels(learned, make_config):
    _, checkpoint = learned(MIXED)
    later = go_on_from(checkpoint, make_config(method="hero"))
    assert later.learn(later.generate(), MIXED).updated
    with pytest.raises(ConfigError, match="method was hero\\+ there and is hero here"):
        go_on_from(checkpoint, make_config(method="hero"), with_labels=True)


def test_a_policy_gradient_cannot_take_labels_over(learned, make_config):
    run = Method.create(make_config(method="hero"))
    run.learn(run.generate(), MIXED)
    _, checkpoint = learned(MIXED)
    run.save(checkpoint.with_name("hero"))
    with pytest.raises(ConfigError, match="use hero\\+"):
        go_on_from(checkpoint.with_name("hero"), make_config(method="hero"), with_labels=True)


def test_another_rank_is_refused(learned, make_config):
    _, checkpoint = learned(MIXED)
    with pytest.raises(ConfigError, match="lora_rank"):
        go_on_from(checkpoint, make_config(**FIELDS, lora_rank=2))
