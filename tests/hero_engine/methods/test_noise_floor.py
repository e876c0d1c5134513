import math

import pytest
import torch

from hero_engine.methods import policy_gradient
from hero_engine.methods.base import Method
from hero_engine.methods.noise_floor import MOVE, drowned, noise_floor
from hero_engine.storage.batch import Feedback

GOOD = Feedback((True, False) * 4, best=0)


def test_it_is_the_rms_change_and_leaves_the_parameters_alone():
    lora = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64))
    start = lora.detach().clone()
    found = noise_floor(lambda: lora * torch.tensor([3.0, 4.0, 5.0]), [lora])
    changes = (3 * MOVE, -8 * MOVE, 0.0)
    assert found == pytest.approx(math.sqrt(sum(x * x for x in changes) / 3), rel=1e-6)
    assert torch.equal(lora.detach(), start)


def test_the_parameters_come_back_if_the_network_fails():
    lora = torch.nn.Parameter(torch.ones(2))
    calls = iter([torch.zeros(1)])
    with pytest.raises(StopIteration):
        noise_floor(lambda: next(calls), [lora])
    assert torch.equal(lora.detach(), torch.ones(2))


def test_more_than_half_of_the_clip_is_said():
    assert drowned(0.4e-3, 1e-3) == ""
    assert "moves the importance ratio by 6e-04 here, and the clip range is 1e-03" in drowned(
        0.6e-3, 1e-3
    )


def test_a_run_records_it_once_after_its_first_update(make_config, tmp_path, monkeypatch):
    run = Method.create(make_config())
    before = run.policy.lora_state()
    first = run.learn(run.generate(), GOOD)
    assert 0 < first.noise_floor < 1e-5
    assert first.note == ""
    assert any(
        not torch.equal(before[name], each) for name, each in run.policy.lora_state().items()
    )
    run.save(tmp_path / "saved")
    again = Method.resume(tmp_path / "saved")
    assert again.learn(again.generate(), GOOD).noise_floor is None
    # the same run without the measurement ends with the same LoRA
    monkeypatch.setattr(policy_gradient, "noise_floor", lambda *_: 0.0)
    other = Method.create(make_config())
    other.learn(other.generate(), GOOD)
    measured = Method.resume(tmp_path / "saved").policy.lora_state()
    assert all(torch.equal(measured[n], each) for n, each in other.policy.lora_state().items())


def test_a_clip_below_it_is_a_note(make_config, caplog):
    run = Method.create(make_config(clip_range=1e-10))
    # the clip of 6.4e-09 for these latents also bounds how far the ratio may begin from 1
    run.policy.config = run.config.replaced(
        model=run.config.model.model_copy(update={"mixed_precision": "bf16"})
    )
    report = run.learn(run.generate(), GOOD)
    assert report.note.startswith("Rounding alone moves the importance ratio by")
    assert report.note in caplog.text
