import math

import pytest
import torch
from torch import nn

from hero_engine.diffusion.forward_process import Noised
from hero_engine.methods.denoising_loss import Term, train


def latents_of(*values):
    """Noised latents of 1 x 1 x 2, of which both dimensions have one value."""
    z_t = torch.tensor(values)[:, None, None, None].expand(-1, 1, 1, 2).clone()
    n = len(values)
    return Noised(z_t, torch.zeros(n, dtype=torch.long), torch.zeros_like(z_t), torch.ones(n))


@pytest.mark.parametrize("forward_batch_size", [1, 3, 100])
def test_training_takes_the_gradient_of_the_weighted_terms(forward_batch_size):
    weight = nn.Parameter(torch.tensor(2.0))
    optimizer = torch.optim.SGD([weight], lr=1.0)

    def term(values, scale):
        def losses(part):
            return (weight * part.z_t).square().mean(dim=(1, 2, 3))

        return Term(latents_of(*values), losses, scale)

    told = []
    losses = train(
        optimizer,
        [[term([1.0, 2.0, 3.0, 4.0], 1.0), term([2.0], 0.5)]],
        learning_rate=0.01,
        max_grad_norm=1e9,
        forward_batch_size=forward_batch_size,
        on_step=told.append,
    )
    # w^2 (7.5 + 0.5 * 4), with the slope 2 w 9.5
    assert losses == [pytest.approx(38.0)]
    assert weight.item() == pytest.approx(2 - 0.01 * 38)
    assert told == [1]


def test_every_step_has_terms_of_its_own():
    weight = nn.Parameter(torch.tensor(0.0))
    losses = train(
        torch.optim.SGD([weight], lr=1.0),
        [
            [Term(latents_of(value), lambda part: (weight * part.z_t).mean(dim=(1, 2, 3)))]
            for value in (1.0, 2.0, 3.0)
        ],
        learning_rate=0.1,
        max_grad_norm=1e9,
        forward_batch_size=2,
    )
    # the slope is the latent's value: w is 0, -0.1 and -0.3
    assert losses == pytest.approx([0.0, -0.2, -0.9])
    assert weight.item() == pytest.approx(-0.6)


def test_training_bounds_the_gradient():
    weight = nn.Parameter(torch.tensor(0.0))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    train(
        optimizer,
        3 * [[Term(latents_of(1.0), lambda part: 1e6 * (weight * part.z_t).mean(dim=(1, 2, 3)))]],
        learning_rate=0.5,
        max_grad_norm=0.1,
        forward_batch_size=2,
    )
    assert weight.item() == pytest.approx(-3 * 0.5 * 0.1, rel=1e-3)
    assert math.isclose(optimizer.param_groups[0]["lr"], 0.5)
