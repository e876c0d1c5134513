import dataclasses
import json

import pytest
import torch
from PIL import Image

from hero_engine.errors import ConfigError, FeedbackError, NoiseBankEmpty
from hero_engine.methods.hero import Hero
from hero_engine.report import Report
from hero_engine.storage.batch import Batch, Feedback

HALF_GOOD = Feedback(good=(True, False) * 4, best=2)


def tensors_of(hero):
    """Everything that decides the rest of a run."""
    state = {f"lora.{name}": value for name, value in hero.policy.lora_state().items()}
    state |= {f"embedding.{name}": value for name, value in hero.embedding.state_dict().items()}
    for number, moments in hero.optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    if hero.bank is not None:
        state["good"] = hero.bank.good
        if hero.bank.best is not None:
            state["best"] = hero.bank.best
    if hero.anchor is not None:
        state["anchor"] = hero.anchor
    return {name: value.clone() for name, value in state.items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def lora_of(hero):
    return torch.cat([value.flatten() for value in hero.policy.lora_state().values()])


def test_a_run_learns_epoch_by_epoch(hero):
    for epoch in range(3):
        assert hero.epoch == epoch
        batch = hero.generate()
        before = lora_of(hero)
        report = hero.learn(batch, HALF_GOOD)
        assert report.updated
        assert report.note == ""
        assert report.epoch == epoch
        assert report.success_rate == 0.5
        assert report.ratio_error <= 1e-5
        assert report.reward_gap == pytest.approx(report.reward_good - report.reward_bad)
        assert report.rewards[2] == pytest.approx(1.0)
        assert set(report.seconds) == {"embedding", "update"}
        assert not torch.equal(lora_of(hero), before)
    assert hero.epoch == 3


def test_images_are_handed_on_in_order_and_progress_reaches_its_total(hero):
    seen, progress = [], []
    batch = hero.generate(
        on_image=lambda index, image: seen.append((index, image)), on_progress=progress.append
    )
    assert [index for index, _ in seen] == list(range(8))
    assert [image for _, image in seen] == batch.images
    assert all(image.size == (16, 16) and image.mode == "RGB" for image in batch.images)
    assert (progress[-1].stage, progress[-1].done, progress[-1].total) == ("sampling", 12, 12)
    progress.clear()
    hero.learn(batch, HALF_GOOD, on_progress=progress.append)
    ends = {p.stage: (p.done, p.total) for p in progress}
    assert ends == {"embedding": (5, 5), "update": (2, 2)}


def test_images_are_what_the_pipeline_decodes(hero):
    batch = hero.generate()
    pipe = hero.policy.pipe
    with torch.no_grad():
        pixels = pipe.vae.decode(batch.latents[:1] / pipe.vae.config.scaling_factor).sample
    expected = pipe.image_processor.postprocess(pixels)[0]
    assert batch.images[0].tobytes() == expected.tobytes()


def test_the_batch_is_the_same_when_drawn_again(make_config):
    one, other = (Hero.create(make_config()).generate() for _ in range(2))
    assert torch.equal(one.latents, other.latents)
    assert torch.equal(one.transitions.log_prob, other.transitions.log_prob)
    elsewhere = Hero.create(make_config(seed=4)).generate()
    assert not torch.equal(one.noises, elsewhere.noises)


def test_a_stopped_run_ends_as_one_that_was_not(make_config, tmp_path):
    through = Hero.create(make_config())
    batches = []
    for epoch in range(3):
        through.save(tmp_path / str(epoch))
        batches.append(through.generate())
        through.learn(batches[-1], HALF_GOOD)

    for epoch in range(3):
        stopped = Hero.resume(tmp_path / str(epoch))
        for later in range(epoch, 3):
            batch = stopped.generate()
            assert torch.equal(batch.latents, batches[later].latents)
            stopped.learn(batch, HALF_GOOD)
        assert stopped.epoch == 3
        assert_same(tensors_of(stopped), tensors_of(through))


def test_checkpoint_and_saved_batch_are_all_that_learning_needs(hero, tmp_path):
    hero.learn(hero.generate(), HALF_GOOD)
    hero.save(tmp_path / "checkpoint")
    batch = hero.generate()
    batch.save(tmp_path / "batch")
    report = hero.learn(batch, HALF_GOOD)

    other = Hero.resume(tmp_path / "checkpoint")
    again = other.learn(Batch.load(tmp_path / "batch", hero.schedule.timesteps), HALF_GOOD)
    assert_same(tensors_of(other), tensors_of(hero))
    report.seconds, again.seconds = {}, {}
    assert again == report


def test_half_precision_sampling_starts_from_a_ratio_of_exactly_one(make_config):
    hero = Hero.create(make_config(mixed_precision="bf16"))
    batch = hero.generate()
    assert batch.latents.dtype == torch.float32
    assert hero.learn(batch, HALF_GOOD).ratio_error == 0


@pytest.mark.parametrize(
    ("good", "best", "note"),
    [
        ((True,) * 8, 0, "All of the 8 judged images are good"),
        ((False,) * 8, None, "None of the 8 judged images is good"),
        ((None,) * 8, None, "No image was judged"),
        ((True, False) * 4, None, "No best image has been chosen yet"),
        ((None,) * 7 + (True,), 7, "All of the 1 judged images are good"),
    ],
)
def test_a_batch_without_contrast_changes_no_weight(hero, good, best, note):
    batch = hero.generate()
    before = tensors_of(hero)
    report = hero.learn(batch, Feedback(good, best))
    assert not report.updated
    assert note in report.note
    assert report.loss is None
    assert hero.epoch == 1
    after = tensors_of(hero)
    assert_same({name: after[name] for name in before}, before)
    kept = [i for i, verdict in enumerate(good) if verdict]
    if kept:
        assert torch.equal(hero.bank.good, batch.noises[kept])
        assert torch.equal(hero.bank.best, batch.noises[best]) if best is not None else True
    else:
        assert hero.bank is None


def test_without_good_images_the_bank_and_the_anchor_stay(hero):
    hero.learn(hero.generate(), HALF_GOOD)
    bank, anchor = hero.bank, hero.anchor
    hero.learn(hero.generate(), Feedback((False,) * 8))
    assert hero.bank is bank
    assert torch.equal(hero.anchor, anchor)


def test_without_a_best_the_last_one_stays_the_anchor(hero):
    hero.learn(hero.generate(), HALF_GOOD)
    anchor, best_noise = hero.anchor, hero.bank.best
    batch = hero.generate()
    report = hero.learn(batch, Feedback((True, False) * 4))
    assert report.updated
    assert "No best image was chosen" in report.note
    assert torch.equal(hero.anchor, anchor)
    assert torch.equal(hero.bank.best, best_noise)
    assert torch.equal(hero.bank.good, batch.noises[::2])


def test_the_best_counts_as_good_and_unjudged_images_only_get_a_reward(hero):
    report = hero.learn(hero.generate(), Feedback((False, False, None, None) * 2, best=1))
    assert report.updated
    assert report.success_rate == 0.25
    assert len(report.rewards) == 8
    assert len(hero.bank.good) == 1


def test_an_update_is_smaller_where_one_kind_is_rare(make_config):
    def step(good):
        hero = Hero.create(make_config(images_per_epoch=32, minibatch_size=8))
        before = lora_of(hero)
        report = hero.learn(hero.generate(), Feedback(good, best=0))
        return (lora_of(hero) - before).norm(), report

    balanced, ordinary = step((True, False) * 16)
    rare, nearly_all_good = step((True,) * 31 + (False,))
    assert ordinary.note == ""
    assert "Only 1 of 32 judged images is bad" in nearly_all_good.note
    assert "0.50 of the learning rate" in nearly_all_good.note
    assert rare < 0.65 * balanced


def test_feedback_that_does_not_fit_changes_nothing(hero):
    batch = hero.generate()
    before = tensors_of(hero)
    later = dataclasses.replace(batch, epoch=1)
    for wrong_batch, feedback, message in [
        (batch, Feedback((True,) * 7), "about 7 images and the batch of epoch 0 has 8"),
        (batch, Feedback((True,) * 8, best=8), "best image is number 8"),
        (later, HALF_GOOD, "batch is of epoch 1 and the run stands at epoch 0"),
    ]:
        with pytest.raises(FeedbackError, match=message):
            hero.learn(wrong_batch, feedback)
    assert hero.epoch == 0
    assert_same(tensors_of(hero), before)


def test_predictions_are_the_rewards(hero):
    batch = hero.generate()
    assert hero.predict(batch.latents) is None
    report = hero.learn(batch, HALF_GOOD)
    assert hero.predict(batch.latents) == pytest.approx(report.rewards)


def test_samples_repeat_by_seed_and_follow_the_prompt(hero):
    one, same, other_seed, other_prompt = (
        hero.sample(4, seed=1),
        hero.sample(4, seed=1),
        hero.sample(4, seed=2),
        hero.sample(4, seed=1, prompt="two cats"),
    )
    assert len(one.images) == 4
    assert torch.equal(one.latents, same.latents)
    assert not torch.equal(one.noises, other_seed.noises)
    assert torch.equal(one.noises, other_prompt.noises)
    assert not torch.equal(one.latents, other_prompt.latents)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++", "euler a", "unipc"])
def test_other_schedulers_draw_images(hero, scheduler):
    seen = []
    samples = hero.sample(2, scheduler=scheduler, on_image=lambda i, image: seen.append(i))
    assert seen == [0, 1]
    assert samples.latents.isfinite().all()
    assert isinstance(samples.images[1], Image.Image)


def test_an_unknown_scheduler_names_the_known_ones(hero):
    with pytest.raises(ConfigError, match=r"no scheduler called 'heun'.*dpm\+\+"):
        hero.sample(1, scheduler="heun")


def test_the_noise_bank_is_sampled_once_there_is_one(hero):
    with pytest.raises(NoiseBankEmpty, match="no image of this run has been called good"):
        hero.sample(2, noise="bank")
    batch = hero.generate()
    hero.learn(batch, Feedback((True,) + (False,) * 7, best=0))
    samples = hero.sample(6, noise="bank")
    similarity = torch.nn.functional.cosine_similarity(
        samples.noises.flatten(1), batch.noises[:1].flatten(1)
    )
    assert similarity.min() > 0.9


def test_the_last_noises_of_a_batch_are_fresh(make_config):
    mixed = Hero.create(make_config(fresh_share=0.25, images_per_epoch=8))
    first = mixed.generate()
    report = mixed.learn(first, Feedback((True,) + (False,) * 7, best=0))
    assert report.success_rate_fresh == report.success_rate
    batch = mixed.generate()
    similarity = torch.nn.functional.cosine_similarity(
        batch.noises.flatten(1), first.noises[:1].flatten(1)
    )
    assert similarity[:6].min() > 0.9
    assert similarity[6:].abs().max() < 0.3
    report = mixed.learn(batch, Feedback((False,) * 6 + (True, None), best=6))
    assert report.success_rate_fresh == 1.0
    assert torch.equal(mixed.bank.good, batch.noises[6:7])
    only_bank = Hero.create(make_config())
    only_bank.learn(first, HALF_GOOD)
    assert only_bank.learn(only_bank.generate(), HALF_GOOD).success_rate_fresh is None


def test_reports_are_safe_for_json(hero):
    report = hero.learn(hero.generate(), HALF_GOOD)
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["epoch"] == 0
    assert len(values["rewards"]) == 8
    broken = Report(0, loss=float("nan"), rewards=[float("inf"), 1.0], seconds={"a": 1.0})
    assert broken.to_dict()["loss"] is None
    assert broken.to_dict()["rewards"] == [None, 1.0]
