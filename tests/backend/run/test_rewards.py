"""What rewards are called."""

from typing import get_args

import pytest

from backend.run.rewards import (
    REWARDS,
    compare_with_best,
    loss_in_words,
    reward_in_words,
    rewards_teach,
)
from hero_engine.methods.hero_settings import HeroSettings
from hero_engine.methods.table import METHODS


def test_every_reward_and_method_has_words():
    assert set(REWARDS) == set(get_args(HeroSettings.model_fields["reward"].annotation))
    for method in METHODS:
        assert reward_in_words({"method": method}) and loss_in_words({"method": method})


@pytest.mark.parametrize(
    ("config", "teach"),
    [
        ({}, True),
        ({"method": "hero"}, True),
        ({"method": "hero+"}, False),
    ],
)
def test_hero_plus_learns_from_no_reward(config, teach):
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
