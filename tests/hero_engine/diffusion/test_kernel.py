import math

import pytest
import torch
from diffusers import DDIMScheduler

from hero_engine.diffusion.ddim import ddim_schedule
from hero_engine.diffusion.kernel import log_prob


def test_log_prob_is_the_mean_of_the_gaussian_log_density():
    z_prev, mean = torch.randn(2, 3, 1, 4, 4)
    std = torch.tensor([0.5, 0.02, 2.0]).view(3, 1, 1, 1)
    expected = torch.distributions.Normal(mean, std).log_prob(z_prev).mean(dim=(1, 2, 3))
    torch.testing.assert_close(log_prob(z_prev, mean, std), expected)


def test_log_prob_by_hand():
    z_prev = torch.full((1, 1, 1, 2), 3.0)
    mean = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    value = log_prob(z_prev, mean, torch.full((1, 1, 1, 1), 2.0))
    assert value.item() == pytest.approx(-0.25 - math.log(2) - 0.5 * math.log(2 * math.pi))


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_rows_at_different_steps_have_the_steps_that_diffusers_takes(prediction_type):
    scheduler = DDIMScheduler(prediction_type=prediction_type, clip_sample=False)
    schedule = ddim_schedule(scheduler, 10, 0.7)
    z_t, prediction, noise = torch.randn(3, 4, 1, 2, 2)
    steps = torch.tensor([7, 0, 3, 8])
    mean, std = schedule.step_distribution(prediction, steps, z_t)
    for row, timestep in enumerate(schedule.timesteps[steps]):
        theirs = scheduler.step(
            prediction[row], timestep, z_t[row], eta=0.7, variance_noise=noise[row]
        ).prev_sample
        torch.testing.assert_close(mean[row] + std[row] * noise[row], theirs)
