import math

import pytest
import torch
from diffusers import DDIMScheduler
from torch import nn

from hero_engine.diffusion import forward_process
from hero_engine.diffusion.forward_process import Noised, Term
from hero_engine.methods.change_bound import ChangeBound


def images(*values):
    """1 x 1 x 2 latents of which both dimensions have one value."""
    return torch.tensor(values)[:, None, None, None].expand(-1, 1, 1, 2).clone()


@pytest.mark.parametrize(
    ("weighting", "by_hand"),
    [
        (
            "min-snr",
            {
                "sample": [0.5, 5.0, 5.0],
                "epsilon": [1.0, 1.0, 0.25],
                "v_prediction": [0.5 / 1.5, 5 / 6, 5 / 21],
            },
        ),
        (
            "snr+1",
            {
                "sample": [1.5, 6.0, 21.0],
                "epsilon": [3.0, 1.2, 1.05],
                "v_prediction": [1.0, 1.0, 1.0],
            },
        ),
    ],
)
def test_snr_weights_by_hand(weighting, by_hand):
    snr = torch.tensor([0.5, 5.0, 20.0])
    for prediction_type, weights in by_hand.items():
        result = forward_process.snr_weights(snr, prediction_type, weighting=weighting, gamma=5.0)
        assert result.tolist() == pytest.approx(weights)


def test_losses_by_hand():
    prediction, old, target = images(3.0, 3.0), images(1.0, 1.0), images(2.0, 2.0)
    assert forward_process.squared_errors(prediction, target).tolist() == [1, 1]
    losses = forward_process.nft_losses(prediction, old, target, torch.tensor([1.0, 0.0]), 0.5)
    # v+ = (3 + 1) / 2 = 2; v- = 1.5 * 1 - 0.5 * 3 = 0
    assert losses.tolist() == [0, 4]


def test_negatives_push_the_prediction_away_and_half_optimal_images_leave_it():
    old, target = images(0.0), images(1.0)
    for optimality, sign in [(1.0, -1), (0.0, 1), (0.5, 0)]:
        prediction = images(0.0).requires_grad_()
        forward_process.nft_losses(
            prediction, old, target, torch.tensor([optimality]), 0.3
        ).backward()
        assert prediction.grad.sign().unique().tolist() == [sign]


def test_with_beta_one_good_images_have_the_plain_loss():
    prediction, old, target = (torch.randn(4, 2, 3, 3) for _ in range(3))
    torch.testing.assert_close(
        forward_process.nft_losses(prediction, old, target, torch.ones(4), 1.0),
        forward_process.squared_errors(prediction, target),
    )


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_the_forward_process_and_its_targets(prediction_type):
    scheduler = DDIMScheduler(num_train_timesteps=10, prediction_type=prediction_type)
    z_0 = torch.randn(64, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    part = forward_process.noised(scheduler, z_0, torch.Generator().manual_seed(0))
    assert set(part.timesteps.tolist()) == set(range(10))
    assert part.optimality.tolist() == [1] * 64
    alpha = scheduler.alphas_cumprod[part.timesteps].view(-1, 1, 1, 1)
    torch.testing.assert_close(part.snr, (alpha / (1 - alpha)).flatten())
    epsilon = (part.z_t - alpha.sqrt() * z_0) / (1 - alpha).sqrt()
    expected = {
        "epsilon": epsilon,
        "sample": z_0,
        "v_prediction": alpha.sqrt() * epsilon - (1 - alpha).sqrt() * z_0,
    }[prediction_type]
    torch.testing.assert_close(part.target, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_sampling_begins_from_noise_alone_and_its_targets_lead_to_the_latent(prediction_type):
    fields = {"prediction_type": prediction_type, "clip_sample": False}
    scheduler = DDIMScheduler(num_train_timesteps=10, **fields)
    z_0 = 5 + torch.randn(2000, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(0)
    part = forward_process.begun(scheduler, z_0, generator, first_timestep=7)
    assert set(part.timesteps.tolist()) == {7, 8, 9}
    assert part.z_t.mean().abs() < 0.05
    assert part.z_t.std() == pytest.approx(1, abs=0.05)
    assert torch.corrcoef(torch.stack([part.z_t.flatten(), z_0.flatten()]))[0, 1].abs() < 0.05
    assert torch.isfinite(part.snr).all()
    scheduler.set_timesteps(10)
    for row in range(3):
        # the step's own estimate of z_0, from a network that answers with the target
        step = scheduler.step(part.target[row], int(part.timesteps[row]), part.z_t[row])
        torch.testing.assert_close(step.pred_original_sample, z_0[row], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("forward_batch_size", [1, 3, 100])
def test_training_takes_the_gradient_of_the_weighted_terms(forward_batch_size):
    weight = nn.Parameter(torch.tensor(2.0))
    optimizer = torch.optim.SGD([weight], lr=1.0)

    def term(values, scale):
        n = len(values)
        z_t = images(*values)
        steps = torch.zeros(n, dtype=torch.long)
        latents = Noised(z_t, steps, torch.zeros_like(z_t), torch.ones(n), torch.ones(n))
        return Term(latents, lambda p: (weight * p.z_t).square().mean(dim=(1, 2, 3)), scale)

    told = []
    losses = forward_process.train(
        optimizer,
        lambda: [term([1.0, 2.0, 3.0, 4.0], 1.0), term([2.0], 0.5)],
        steps=1,
        learning_rate=0.01,
        max_grad_norm=1e9,
        forward_batch_size=forward_batch_size,
        on_step=told.append,
    )
    # w^2 (7.5 + 0.5 * 4), with the slope 2 w 9.5
    assert losses == [pytest.approx(38.0)]
    assert weight.item() == pytest.approx(2 - 0.01 * 38)
    assert told == [1]


def test_training_ends_when_it_is_enough():
    weight = nn.Parameter(torch.tensor(0.0))
    z_t = images(1.0)
    latents = Noised(z_t, torch.tensor([0]), z_t, torch.ones(1), torch.ones(1))
    losses = forward_process.train(
        torch.optim.SGD([weight], lr=1.0),
        lambda: [Term(latents, lambda p: (weight * p.z_t).mean(dim=(1, 2, 3)))],
        steps=10,
        learning_rate=0.1,
        max_grad_norm=1.0,
        forward_batch_size=2,
        enough=lambda: weight.item() < -0.25,
    )
    assert losses == pytest.approx([0.0, -0.1, -0.2])


def test_a_bound_is_passed_when_predictions_have_changed_by_more():
    weight = torch.tensor(1.0)
    z_t = images(1.0, 3.0)
    probe = Noised(z_t, torch.zeros(2, dtype=torch.long), z_t, torch.ones(2), torch.ones(2))
    bound = ChangeBound(lambda z_t, _: weight * z_t, probe, limit=4.0, device=z_t.device)
    assert not bound()
    weight.fill_(1.5)
    assert not bound()
    assert bound.change == pytest.approx(0.25 * (1 + 9) / 2)
    weight.fill_(2.0)
    assert bound()


def test_training_bounds_the_gradient():
    weight = nn.Parameter(torch.tensor(0.0))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    z_t = images(1.0)
    latents = Noised(z_t, torch.tensor([0]), z_t, torch.ones(1), torch.ones(1))
    forward_process.train(
        optimizer,
        lambda: [Term(latents, lambda p: 1e6 * (weight * p.z_t).mean(dim=(1, 2, 3)))],
        steps=3,
        learning_rate=0.5,
        max_grad_norm=0.1,
        forward_batch_size=2,
    )
    assert weight.item() == pytest.approx(-3 * 0.5 * 0.1, rel=1e-3)
    assert math.isclose(optimizer.param_groups[0]["lr"], 0.5)
