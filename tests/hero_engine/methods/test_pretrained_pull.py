import pytest
import torch

from hero_engine.config import SamplingSettings
from hero_engine.diffusion.forward_process import squared_errors
from hero_engine.methods.pretrained_pull import compared, latents_in_a_pass


@pytest.fixture
def policy(hero):
    for parameter in hero.policy.parameters:
        torch.nn.init.normal_(parameter, std=0.2)
    return hero.policy


def noised(policy, n, seed):
    z_0 = torch.ones(n, *policy.latent_shape)
    return policy.forward_process.noised(z_0, torch.Generator().manual_seed(seed))


def test_many_parts_in_wide_passes_have_the_predictions_of_each(policy):
    denoise = policy.denoiser("one rose", guided=False)
    parts = [noised(policy, n, n) for n in (3, 1, 4)]
    widths = []
    policy.network.register_forward_pre_hook(lambda _, given: widths.append(len(given[0])))
    found = compared(policy, denoise, parts, 6)
    assert widths == [6, 2]
    for part, with_prediction in zip(parts, found, strict=True):
        assert torch.equal(with_prediction.z_t, part.z_t)
        assert torch.equal(with_prediction.target, part.target)
        with torch.no_grad():
            present = denoise(part.z_t, part.timesteps)
            with policy.pretrained():
                alone = denoise(part.z_t, part.timesteps)
        torch.testing.assert_close(with_prediction.pretrained, alone)
        assert not with_prediction.pretrained.requires_grad
        torch.testing.assert_close(with_prediction.change(present), squared_errors(present, alone))
        assert with_prediction.change(present).min() > 1e-4
    assert compared(policy, denoise, [], 6) == []


def test_a_pass_is_as_wide_as_one_that_draws(policy):
    assert latents_in_a_pass(SamplingSettings(sample_batch_size=3, guidance_scale=4.0)) == 6
    assert latents_in_a_pass(SamplingSettings(sample_batch_size=3, guidance_scale=1.0)) == 3
