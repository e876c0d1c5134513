"""Learning from pictures that no model of the run drew."""

import pytest
import torch
from PIL import Image

from hero_engine.errors import FeedbackError
from hero_engine.methods.base import Method
from hero_engine.storage.batch import Batch, Feedback, save_pictures

FIELDS = {"method": "hero+", "denoising_steps": 4, "denoising_batch_size": 4}
SAID = Feedback((True, True, False, False, False), best=1)


@pytest.fixture
def pictures(tmp_path):
    """Five pictures of the size of the random pipeline, as a batch on the disk."""
    images = [Image.effect_noise((16, 16), 40 + 20 * i).convert("RGB") for i in range(5)]
    save_pictures(tmp_path / "pictures", 0, "one rose", images)
    return tmp_path / "pictures"


@pytest.fixture
def taught(make_config, pictures):
    def teach(**fields):
        run = Method.create(make_config(**{**FIELDS, **fields}))
        batch = Batch.load(pictures, run.schedule.timesteps, run.policy.encode)
        return run, run.learn(batch, SAID)

    return teach


def test_the_good_ones_teach_and_none_speaks_of_the_model(taught):
    run, report = taught()
    assert report.updated
    assert run.replay.good.tolist() == list(SAID.good)
    assert run.bank is None, "they have no noises"
    assert run.anchor is not None
    assert (report.success_rate, report.success_rate_fresh, report.diversity) == (None,) * 3
    assert (report.model_epoch, report.model_good, report.model_judged) == (1, 0, 0)
    batch = run.generate()
    assert run.predict_batch(batch) is not None
    report = run.learn(batch, Feedback((False,) * 8))
    assert (report.model_epoch, report.model_judged) == (1, 8), "not set against the pretrained one"
    assert not report.stepped_back


def test_a_run_that_steps_back_by_rate_does_not_compare_with_them(taught):
    run, _ = taught(keep_best=False, step_back_drop=0.1)
    assert run.rollback.best is None
    assert not run.learn(run.generate(), Feedback((False,) * 8)).stepped_back


def test_it_is_the_same_every_time_and_after_a_stop(taught, tmp_path):
    one, _ = taught()
    other, _ = taught()
    one.save(tmp_path / "checkpoint")
    again = Method.resume(tmp_path / "checkpoint")
    for run in (other, again):
        assert run.replay.latents.equal(one.replay.latents)
        for name, matrix in one.policy.lora_state().items():
            assert matrix.equal(run.policy.lora_state()[name])
    assert torch.equal(again.generate().noises, one.generate().noises)


def test_a_method_that_learns_step_by_step_refuses_them(make_config, pictures):
    run = Method.create(make_config(method="hero"))
    batch = Batch.load(pictures, run.schedule.timesteps, run.policy.encode)
    with pytest.raises(FeedbackError, match="method hero cannot learn from pictures"):
        run.learn(batch, SAID)
    assert run.epoch == 0
