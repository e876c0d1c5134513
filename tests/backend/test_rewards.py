"""What rewards are called."""

from typing import get_args

import pytest

from backend.rewards import REWARDS, compare_with_best, loss_in_words, reward_in_words
from hero_engine.config import HeroConfig


def test_every_reward_and_method_has_words():
    assert set(REWARDS) == set(get_args(HeroConfig.model_fields["reward"].annotation))
    for method in get_args(HeroConfig.model_fields["method"].annotation):
        assert reward_in_words({"method": method}) and loss_in_words({"method": method})


def test_where_rewards_teach_nothing_their_words_say_so():
    plus = {"method": "hero+", "reward": "best"}
    assert reward_in_words({**plus, "inner_epochs": 2}) == REWARDS["best"]
    assert "learns from the good images alone" in reward_in_words({**plus, "inner_epochs": 0})


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
