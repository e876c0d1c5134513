"""What rewards are called."""

from typing import get_args

import pytest

from backend.rewards import (
    REWARDS,
    compare_with_best,
    loss_in_words,
    reward_in_words,
    rewards_teach,
)
from hero_engine.config import HeroConfig


def test_every_reward_and_method_has_words():
    assert set(REWARDS) == set(get_args(HeroConfig.model_fields["reward"].annotation))
    for method in get_args(HeroConfig.model_fields["method"].annotation):
        assert reward_in_words({"method": method}) and loss_in_words({"method": method})


@pytest.mark.parametrize(
    ("config", "teach"),
    [
        ({}, True),
        ({"method": "hero+", "inner_epochs": 2}, True),
        ({"method": "hero+", "inner_epochs": 0, "denoising_weights": "rarity"}, False),
        ({"method": "hero+", "inner_epochs": 0, "denoising_weights": "reward"}, True),
    ],
)
def test_only_denoising_steps_alone_learn_from_no_reward(config, teach):
    assert rewards_teach(config) is teach


@pytest.mark.parametrize(
    ("config", "anchored"),
    [
        ({}, True),
        ({"method": "hero+", "reward": "best"}, True),
        ({"reward": "no-embedding"}, False),
        ({"method": "ddpo"}, False),
        ({"method": "d3po"}, False),
    ],
)
def test_only_similarity_to_the_best_has_an_anchor(config, anchored):
    assert compare_with_best(config) is anchored
