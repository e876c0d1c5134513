import math

import pytest
import torch

from hero_engine.feedback.replay import Replay, draw, rarity
from hero_engine.storage.batch import Feedback


def points(n, seed=0):
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))


def distance(one, other):
    return math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(one, other, strict=True)))


def test_replay_keeps_every_judged_latent_with_its_verdict(hero):
    batch = hero.generate()
    feedback = Feedback((True, False, None, False) * 2)
    replay = Replay.empty(hero.policy.latent_shape).add(batch, feedback).add(batch, feedback)
    assert replay.good.tolist() == [True, False, False] * 4
    assert torch.equal(replay.latents[:3], batch.latents[[0, 1, 3]])
    assert torch.equal(replay.good_latents, batch.latents[[0, 4, 0, 4]])
    drawn = draw(replay.good_latents, torch.ones(4), 50, torch.Generator().manual_seed(0))
    assert {row.numpy().tobytes() for row in drawn} == {
        batch.latents[index].numpy().tobytes() for index in (0, 4)
    }


def test_latents_are_drawn_in_proportion_to_their_weights():
    latents = torch.arange(3.0)[:, None, None, None].expand(3, 1, 2, 2)
    drawn = draw(latents, torch.tensor([1.0, 0.0, 3.0]), 2000, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn[:, 0, 0, 0].long(), minlength=3)
    assert counts[1] == 0
    assert 0.2 < counts[0] / 2000 < 0.3
    assert len(draw(latents, torch.ones(3), 0, torch.Generator())) == 0


@pytest.mark.parametrize("n", [2, 4, 9])
def test_rarity_is_one_over_the_brute_force_density(n):
    drawn = points(n)
    between = sorted(distance(drawn[i], drawn[j]) for i in range(n) for j in range(i))
    width = 0.25 * between[(len(between) - 1) // 2]
    for i, value in enumerate(rarity(drawn).tolist()):
        density = sum(math.exp(-0.5 * (distance(drawn[i], p) / width) ** 2) for p in drawn)
        assert value == pytest.approx(1 / density, rel=1e-4)


def test_copies_share_the_weight_of_one_image():
    drawn = points(10)
    with_copies = torch.cat([drawn, drawn[:1].expand(20, -1) + 1e-4 * points(20, seed=1)])
    weights = rarity(with_copies)
    of_the_copied = weights[0] + weights[10:].sum()
    assert float(of_the_copied / weights[1]) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_images_that_are_all_alike_have_one_weight(n):
    weights = rarity(torch.ones(n, 3))
    assert weights.min() > 0
    assert weights.unique().numel() == 1


def test_one_that_stands_alone_has_the_highest_weight():
    assert rarity(torch.cat([torch.full((1, 6), 5.0), 0.1 * points(20)])).argmax() == 0
