import pytest
import torch
from torch import nn

from hero_engine.batch import Feedback
from hero_engine.lora_average import LoraAverage
from hero_engine.method import Method

HALF_GOOD = Feedback((True, False) * 4, best=0)


def test_the_average_by_hand():
    weight = nn.Parameter(torch.tensor([0.0]))
    average = LoraAverage([weight], decay=0.75)
    optimizers = [torch.optim.SGD([weight], lr=1.0) for _ in range(2)]
    for optimizer in optimizers:
        average.follow(optimizer)
    expected = 0.0
    for step in range(4):
        weight.grad = torch.tensor([-2.0])
        optimizers[step % 2].step()
        expected = 0.75 * expected + 0.25 * 2.0 * (step + 1)
    assert average.means[0].item() == pytest.approx(expected)
    other = LoraAverage([nn.Parameter(torch.zeros(1))], decay=0.75)
    other.load(average.tensors())
    assert torch.equal(other.means[0], average.means[0])


@pytest.mark.parametrize("method", ["hero", "hero+", "d3po"])
def test_batches_are_drawn_by_the_lora_that_is_trained(make_config, method, tmp_path):
    runs = [
        Method.create(make_config(method=method, denoising_steps=2, lora_ema_decay=decay))
        for decay in (0.0, 0.9)
    ]
    for _ in range(2):
        batches = [run.generate() for run in runs]
        assert torch.equal(batches[0].latents, batches[1].latents)
        for run, batch in zip(runs, batches, strict=True):
            run.learn(batch, HALF_GOOD)
    plain, averaged = (run.sample(2, seed=1).latents for run in runs)
    assert not torch.equal(plain, averaged)
    lora = [run.policy.lora_state() for run in runs]
    assert all(torch.equal(lora[0][name], lora[1][name]) for name in lora[0])

    averaged_run = runs[1]
    averaged_run.save(tmp_path / "checkpoint")
    again = Method.resume(tmp_path / "checkpoint")
    assert torch.equal(again.sample(2, seed=1).latents, averaged)
    averaged_run.export_lora(tmp_path)
    plain_pipeline = Method.create(make_config())
    plain_pipeline.policy.pipe.unload_lora_weights()
    plain_pipeline.policy.pipe.load_lora_weights(tmp_path)
    torch.testing.assert_close(plain_pipeline.sample(2, seed=1).latents, averaged)
