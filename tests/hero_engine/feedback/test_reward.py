import pytest
import torch

from hero_engine.feedback.reward import (
    REWARDS,
    advantages,
    best_point,
    binary,
    mean_of_positives,
    similarity,
)
from hero_engine.methods.hero_settings import HeroSettings


def test_similarity_by_hand():
    embeddings = torch.tensor([[3.0, 4.0], [6.0, 8.0], [-3.0, -4.0], [4.0, -3.0], [1.0, 0.0]])
    expected = torch.tensor([1.0, 1.0, -1.0, 0.0, 0.6])
    torch.testing.assert_close(similarity(embeddings, torch.tensor([3.0, 4.0])), expected)


def test_an_embedding_of_length_zero_has_reward_zero():
    rewards = similarity(torch.zeros(2, 3), torch.ones(3))
    assert rewards.tolist() == [0, 0]


def test_every_reward_of_the_configuration_has_a_design():
    assert set(REWARDS) == set(HeroSettings.model_fields["reward"].annotation.__args__)


def test_references_by_hand():
    latents = torch.tensor([[1.0, 0.0, 0.0, 2.0], [3.0, 0.0, 0.0, 0.0]]).view(2, 1, 2, 2)

    def doubled(z_0):
        return 2 * z_0.flatten(1)

    assert best_point(doubled, latents[1]).tolist() == [6, 0, 0, 0]
    assert mean_of_positives(doubled, latents).tolist() == [4, 0, 0, 2]


def test_binary_rewards_and_images_that_nobody_judged():
    rewards = binary((True, None, False, False, None, True, False))
    assert rewards.tolist() == pytest.approx([1, 0.4, 0, 0, 0.4, 1, 0])
    advantage = advantages(rewards, std_floor=0.01, clip=5.0)
    assert advantage[[1, 4]].abs().max() < 1e-6


def test_advantages_by_hand():
    values = advantages(torch.tensor([1.0, 2.0, 3.0]), std_floor=1e-3, clip=5.0)
    torch.testing.assert_close(values, torch.tensor([-1.0, 0.0, 1.0]) * 1.5**0.5)


def test_rewards_that_hardly_differ_give_small_advantages():
    rewards = 0.9 + 1e-4 * torch.randn(64, generator=torch.Generator().manual_seed(0))
    assert advantages(rewards, std_floor=0.05, clip=5.0).abs().max() < 0.01


def test_advantages_are_clipped():
    rewards = torch.cat([torch.zeros(99), torch.tensor([-1.0])])
    assert advantages(rewards, std_floor=0.01, clip=5.0).min().item() == -5.0


@pytest.mark.parametrize("shift", [-2.0, 0.0, 7.0])
def test_advantages_do_not_depend_on_the_mean_reward(shift):
    rewards = torch.randn(16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        advantages(rewards + shift, std_floor=0.01, clip=5.0),
        advantages(rewards, std_floor=0.01, clip=5.0),
        atol=1e-5,
        rtol=1e-4,
    )
