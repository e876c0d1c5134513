import math

import pytest
import torch

from hero_engine.feedback.noise_bank import NoiseBank, fresh_count, perturb, pi_hero

SHAPE = (4, 8, 8)


def draw(bank, n, **overrides):
    options = {
        "best_image_ratio": 0.5,
        "noise_variance": 1e-6,
        "noise_form": "additive",
        "generator": torch.Generator().manual_seed(0),
    }
    return pi_hero(bank, n, SHAPE, **{**options, **overrides})


def nearest(noises, centres):
    return torch.cdist(noises.flatten(1), centres.flatten(1)).argmin(dim=1)


def test_the_first_batch_is_standard_normal():
    noises = draw(None, 500)
    assert noises.shape == (500, *SHAPE)
    assert noises.mean().item() == pytest.approx(0, abs=0.02)
    assert noises.std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("ratio", "round_best"), [(0.0, 0), (0.25, 16), (0.5, 32), (1.0, 64)])
def test_share_drawn_round_the_best(ratio, round_best):
    good = torch.randn(5, *SHAPE)
    best = torch.randn(*SHAPE)
    noises = draw(NoiseBank(good, best), 64, best_image_ratio=ratio)
    assert (nearest(noises, torch.cat([best[None], good])) == 0).sum() == round_best


@pytest.mark.parametrize(("share", "fresh"), [(0.0, 0), (0.25, 16), (0.01, 1), (1.0, 64)])
def test_how_many_are_fresh_is_a_fixed_number(share, fresh):
    assert fresh_count(NoiseBank(torch.randn(2, *SHAPE), None), 64, share) == fresh
    assert fresh_count(None, 64, share) == 64


def test_the_rest_lies_uniformly_round_the_good():
    good = torch.randn(4, *SHAPE)
    noises = draw(NoiseBank(good, good[0]), 4000)
    counts = torch.bincount(nearest(noises[2000:], good), minlength=4)
    assert counts.min() > 430
    assert counts.max() < 570


def test_without_a_best_all_lie_round_the_good():
    good = torch.randn(4, *SHAPE)
    counts = torch.bincount(nearest(draw(NoiseBank(good, None), 400), good), minlength=4)
    assert counts.min() > 70


@pytest.mark.parametrize("variance", [0.0, 0.01, 0.1])
def test_additive_form_is_a_normal_round_the_centre(variance):
    centres = torch.randn(200, *SHAPE)
    drawn = perturb(centres, variance, "additive", torch.Generator().manual_seed(0))
    assert (drawn - centres).var().item() == pytest.approx(variance, rel=0.05, abs=1e-12)


@pytest.mark.parametrize("variance", [0.01, 0.1])
def test_variance_preserving_form_stays_on_the_prior(variance):
    centres = torch.randn(200, *SHAPE)
    drawn = perturb(centres, variance, "variance-preserving", torch.Generator().manual_seed(0))
    rest = drawn - math.sqrt(1 - variance) * centres
    assert rest.var().item() == pytest.approx(variance, rel=0.05)
    assert drawn.var().item() == pytest.approx(1, rel=0.03)


def test_the_same_generator_gives_the_same_noises():
    bank = NoiseBank(torch.randn(3, *SHAPE), torch.randn(*SHAPE))
    assert torch.equal(draw(bank, 10), draw(bank, 10))
