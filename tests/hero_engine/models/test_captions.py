"""Latents of several prompts in one pass are predicted as each would be alone."""

import pytest
import torch

from hero_engine.models.policy import Policy
from tests.hero_engine.tiny import MAKERS

PROMPTS = ("one rose", "a cat in a box and two roses", "")


@pytest.mark.parametrize("family", MAKERS)
@pytest.mark.parametrize("guided", [True, False])
def test_each_latent_has_its_own_prompt(make_config, pipelines, family, guided):
    policy = Policy(make_config(model=str(pipelines[family]), guidance_scale=3.0))
    generator = torch.Generator().manual_seed(1)
    z_t = torch.randn(6, *policy.latent_shape, generator=generator)
    timesteps = policy.schedule.timesteps[:1].expand(6)
    captions = torch.tensor([2, 0, 1, 1, 0, 2])
    denoise = policy.denoiser(PROMPTS, guided=guided)
    with torch.no_grad():
        together = denoise(z_t, timesteps, captions)
        for number, prompt in enumerate(PROMPTS):
            rows = captions == number
            alone = policy.denoiser(prompt, guided=guided)(z_t[rows], timesteps[rows])
            assert torch.allclose(together[rows], alone, atol=1e-5)
    assert together.shape == z_t.shape
    denoise(z_t, timesteps, captions).sum().backward()
    assert all(parameter.grad is not None for parameter in policy.parameters)
