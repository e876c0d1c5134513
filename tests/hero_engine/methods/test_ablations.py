"""HERO with one part taken out: whole epochs on the random pipeline."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from hero_engine.methods.hero import Hero
from hero_engine.storage.batch import Feedback

HALF_GOOD = Feedback(good=(True, False) * 4, best=2)


@pytest.mark.parametrize("reward", ["positives", "binary", "no-embedding"])
def test_every_reward_updates_and_resumes(make_config, tmp_path, reward):
    hero = Hero.create(make_config(reward=reward))
    batch = hero.generate()
    report = hero.learn(batch, HALF_GOOD)
    assert report.updated
    assert (report.embedding_loss is not None) == (reward == "positives")
    hero.save(tmp_path / "checkpoint")
    again = Hero.resume(tmp_path / "checkpoint")
    expected = None if reward == "binary" else pytest.approx(report.rewards)
    assert hero.predict(batch.latents) == expected
    assert again.predict(batch.latents) == hero.predict(batch.latents)
    assert again.learn(again.generate(), HALF_GOOD).updated


def test_binary_rewards_are_the_verdicts(make_config):
    hero = Hero.create(make_config(reward="binary"))
    assert hero.learn(hero.generate(), HALF_GOOD).rewards == [1, 0] * 4


def test_without_embedding_rewards_are_similarities_of_latents(make_config):
    hero = Hero.create(make_config(reward="no-embedding"))
    batch = hero.generate()
    report = hero.learn(batch, HALF_GOOD)
    latents = batch.latents.flatten(1)
    expected = cosine_similarity(latents, latents[::2].mean(dim=0, keepdim=True))
    assert report.rewards == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize("reward", ["binary", "no-embedding"])
def test_rewards_without_an_anchor_need_no_best_image(make_config, reward):
    hero = Hero.create(make_config(reward=reward))
    report = hero.learn(hero.generate(), Feedback((True, False) * 4))
    assert report.updated
    assert report.note == ""


def test_normal_noise_is_never_round_the_good_ones(make_config):
    mixture, normal = (
        Hero.create(make_config(noise=noise, noise_variance=0.01))
        for noise in ("mixture", "normal")
    )
    nearest = []
    for hero in (mixture, normal):
        batch = hero.generate()
        hero.learn(batch, HALF_GOOD)
        kept = batch.noises[::2].flatten(1)
        drawn = hero.generate().noises.flatten(1)
        nearest.append(float(cosine_similarity(drawn[:, None], kept[None], dim=2).amax(1).min()))
    assert nearest[0] > 0.9
    assert nearest[1] < 0.5
    report = normal.learn(normal.generate(), Feedback((True,) * 8, best=0))
    assert report.note.endswith("the next batch is drawn as this one.")


def test_all_steps_are_trained_that_have_noise(make_config):
    hero = Hero.create(make_config(trained_steps="all"))
    batch = hero.generate()
    assert torch.equal(batch.transitions.steps, torch.arange(4).expand(8, -1))
    assert hero.learn(batch, HALF_GOOD).updated
