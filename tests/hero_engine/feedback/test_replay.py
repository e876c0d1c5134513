import math

import pytest
import torch

from hero_engine.feedback import replay_weights


def points(n, seed=0):
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))


def distance(one, other):
    return math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(one, other, strict=True)))


@pytest.mark.parametrize("n", [2, 4, 9])
def test_novelty_is_the_brute_force_mean_distance_to_the_nearest_others(n):
    drawn = points(n)
    for i, value in enumerate(replay_weights.novelty(drawn).tolist()):
        others = sorted(distance(drawn[i], drawn[j]) for j in range(n) if j != i)[:5]
        assert value == pytest.approx(sum(others) / len(others), rel=1e-5)


@pytest.mark.parametrize("n", [2, 4, 9])
def test_rarity_is_one_over_the_brute_force_density(n):
    drawn = points(n)
    between = sorted(distance(drawn[i], drawn[j]) for i in range(n) for j in range(i))
    width = 0.25 * between[(len(between) - 1) // 2]
    for i, value in enumerate(replay_weights.rarity(drawn).tolist()):
        density = sum(math.exp(-0.5 * (distance(drawn[i], p) / width) ** 2) for p in drawn)
        assert value == pytest.approx(1 / density, rel=1e-4)


def test_copies_share_the_weight_of_one_image():
    drawn = points(10)
    with_copies = torch.cat([drawn, drawn[:1].expand(20, -1) + 1e-4 * points(20, seed=1)])
    weights = replay_weights.rarity(with_copies)
    of_the_copied = weights[0] + weights[10:].sum()
    assert float(of_the_copied / weights[1]) == pytest.approx(1, abs=0.3)
    nearly_alike = replay_weights.novelty(with_copies)
    assert nearly_alike[10:].max() < 0.01 * nearly_alike[1:10].min()


@pytest.mark.parametrize("weigh", [replay_weights.novelty, replay_weights.rarity])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_images_that_are_all_alike_have_one_weight(weigh, n):
    weights = weigh(torch.ones(n, 3))
    assert weights.min() > 0
    assert weights.unique().numel() == 1


def test_one_that_stands_alone_has_the_highest_weight():
    drawn = torch.cat([torch.full((1, 6), 5.0), 0.1 * points(20)])
    assert replay_weights.novelty(drawn).argmax() == 0
    assert replay_weights.rarity(drawn).argmax() == 0
    exact_copies = torch.cat([torch.full((1, 6), 5.0), torch.zeros(20, 6)])
    assert replay_weights.novelty(exact_copies)[1:].min() > 0


def test_reward_weights_by_hand():
    weights = replay_weights.reward_weights(torch.tensor([1.0, 3.0, 2.0, 2.0]))
    scale = math.sqrt(0.5)
    expected = [math.exp(-1 / scale), math.exp(1 / scale), 1, 1]
    assert weights.tolist() == pytest.approx(expected, rel=1e-5)
    assert replay_weights.reward_weights(torch.full((4,), 0.9)).tolist() == [1] * 4
    one_outlier = replay_weights.reward_weights(torch.tensor([0.0] * 99 + [1.0]))
    assert one_outlier.max() == pytest.approx(math.exp(3))
