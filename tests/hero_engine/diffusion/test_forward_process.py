import pytest
import torch
from diffusers import DDIMScheduler

from hero_engine.diffusion.forward_process import VariancePreserving, squared_errors, v_weights


def process_of(scheduler, first_timestep=9):
    prediction_type = scheduler.config.prediction_type
    return VariancePreserving(scheduler.alphas_cumprod, prediction_type, first_timestep)


@pytest.mark.parametrize(
    ("prediction_type", "by_hand"),
    [
        ("sample", [1.5, 6.0, 21.0]),
        ("epsilon", [3.0, 1.2, 1.05]),
        ("v_prediction", [1.0, 1.0, 1.0]),
    ],
)
def test_v_weights_by_hand(prediction_type, by_hand):
    snr = torch.tensor([0.5, 5.0, 20.0])
    assert v_weights(snr, prediction_type).tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample"])
def test_weighted_errors_are_those_of_v(prediction_type):
    alpha, sigma = torch.tensor([[0.9], [0.3]]).sqrt(), torch.tensor([[0.1], [0.7]]).sqrt()
    z_t, prediction, target = torch.randn(3, 2, 1, generator=torch.Generator().manual_seed(0))

    def v_of(said):
        """The v that a network means by z_0 or by epsilon."""
        z_0 = said if prediction_type == "sample" else (z_t - sigma * said) / alpha
        epsilon = said if prediction_type == "epsilon" else (z_t - alpha * z_0) / sigma
        return alpha * epsilon - sigma * z_0

    weights = v_weights((alpha / sigma).square().flatten(), prediction_type)
    weighted = (prediction - target).square().flatten() * weights
    torch.testing.assert_close(weighted, (v_of(prediction) - v_of(target)).square().flatten())


def test_squared_errors_by_hand():
    prediction = torch.tensor([3.0, 5.0]).view(1, 1, 1, 2)
    assert squared_errors(prediction, torch.full((1, 1, 1, 2), 2.0)).tolist() == [5]


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_the_forward_process_and_its_targets(prediction_type):
    scheduler = DDIMScheduler(num_train_timesteps=10, prediction_type=prediction_type)
    z_0 = torch.randn(64, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    part = process_of(scheduler).noised(z_0, torch.Generator().manual_seed(0))
    assert set(part.timesteps.tolist()) == set(range(10))
    alpha = scheduler.alphas_cumprod[part.timesteps].view(-1, 1, 1, 1)
    snr = (alpha / (1 - alpha)).flatten()
    torch.testing.assert_close(part.v_weight, v_weights(snr, prediction_type))
    epsilon = (part.z_t - alpha.sqrt() * z_0) / (1 - alpha).sqrt()
    expected = {
        "epsilon": epsilon,
        "sample": z_0,
        "v_prediction": alpha.sqrt() * epsilon - (1 - alpha).sqrt() * z_0,
    }[prediction_type]
    torch.testing.assert_close(part.target, expected, atol=1e-4, rtol=1e-4)


def test_noised_latents_are_those_of_diffusers():
    scheduler = DDIMScheduler(prediction_type="v_prediction")
    z_0 = torch.randn(16, 1, 2, 2)
    part = process_of(scheduler).noised(z_0, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    timesteps = torch.randint(1000, (16,), generator=generator)
    epsilon = torch.randn(z_0.shape, generator=generator)
    assert torch.equal(part.timesteps, timesteps)
    torch.testing.assert_close(part.z_t, scheduler.add_noise(z_0, epsilon, timesteps))
    torch.testing.assert_close(part.target, scheduler.get_velocity(z_0, epsilon, timesteps))


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_sampling_begins_from_noise_alone_and_its_targets_lead_to_the_latent(prediction_type):
    fields = {"prediction_type": prediction_type, "clip_sample": False}
    scheduler = DDIMScheduler(num_train_timesteps=10, **fields)
    z_0 = 5 + torch.randn(2000, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(0)
    part = process_of(scheduler, first_timestep=7).noise_only(z_0, generator)
    assert set(part.timesteps.tolist()) == {7, 8, 9}
    assert part.z_t.mean().abs() < 0.05
    assert part.z_t.std() == pytest.approx(1, abs=0.05)
    assert torch.corrcoef(torch.stack([part.z_t.flatten(), z_0.flatten()]))[0, 1].abs() < 0.05
    assert torch.isfinite(part.v_weight).all()
    scheduler.set_timesteps(10)
    for row in range(3):
        # the step's own estimate of z_0, from a network that answers with the target
        step = scheduler.step(part.target[row], int(part.timesteps[row]), part.z_t[row])
        torch.testing.assert_close(step.pred_original_sample, z_0[row], atol=1e-3, rtol=1e-3)


def test_a_part_of_the_levels_is_that_share_of_the_timesteps():
    process = process_of(DDIMScheduler(num_train_timesteps=10))
    z_0 = torch.zeros(200, 1, 2, 2)
    for levels, timesteps in (((0.0, 0.3), range(3)), ((0.3, 1.0), range(3, 10))):
        part = process.noised(z_0, torch.Generator().manual_seed(0), levels)
        assert set(part.timesteps.tolist()) == set(timesteps)
