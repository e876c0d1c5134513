"""Runs of several prompts."""

import json

import pytest
import torch

from hero_engine.diffusion.forward_process import Noised
from hero_engine.errors import ConfigError, FeedbackError
from hero_engine.feedback.evidence import Tally
from hero_engine.feedback.tallies import Tallies
from hero_engine.methods.base import Method
from hero_engine.methods.hero_plus_settings import HeroPlusSettings
from hero_engine.methods.shared_steps import draws_by_prompt
from hero_engine.storage.batch import Batch, Feedback

THREE = {"prompt": "one rose", "further_prompts": ["a cat", "two cats"], "images_per_epoch": 12}
PLUS = {
    "method": "hero+",
    "denoising_steps": 3,
    "denoising_batch_size": 6,
    "held_out": ["a dog"],
}


@pytest.fixture(params=["hero", "hero+"])
def run(request, make_config):
    return Method.create(make_config(**{**THREE, **(PLUS if request.param == "hero+" else {})}))


def feedback_on(batch, good=(True, False, True, False)):
    """Of each prompt, by turns good and bad; the first good one is its best."""
    verdicts, bests = [], []
    for row, prompt in enumerate(batch.prompts):
        number = batch.prompts[:row].count(prompt)
        verdicts.append(good[number % len(good)])
        if verdicts[-1] and not any(batch.prompts[best] == prompt for best in bests):
            bests.append(row)
    return Feedback(tuple(verdicts), bests[0] if bests else None, tuple(bests[1:]))


def lora_of(run):
    return torch.cat([value.flatten() for value in run.policy.lora_state().values()])


def test_a_batch_says_each_images_prompt_and_comes_back_as_it_was(run, tmp_path):
    batch = run.generate()
    assert batch.prompts == ("one rose",) * 4 + ("a cat",) * 4 + ("two cats",) * 4
    batch.save(tmp_path)
    again = Batch.load(tmp_path, run.schedule.timesteps)
    assert (again.prompt, again.prompts) == ("one rose", batch.prompts)
    # an earlier version finds what it looks for
    assert json.loads((tmp_path / "batch.json").read_text())["prompt"] == "one rose"


def test_images_are_those_that_each_prompt_has_alone(run):
    """In one pass with others, under its own caption."""
    batch = run.generate()
    denoise = run.policy.denoiser(run.prompts)
    z_t, timesteps, captions = batch.noises, torch.full((12,), 500), run.captions(batch)
    with torch.no_grad():
        together = denoise(z_t, timesteps, captions)
        for number, prompt in enumerate(run.prompts):
            rows = captions == number
            alone = run.policy.denoiser(prompt)(z_t[rows], timesteps[rows])
            assert torch.allclose(together[rows], alone, atol=1e-5)
            other = run.policy.denoiser(run.prompts[number - 1])(z_t[rows], timesteps[rows])
            assert not torch.allclose(together[rows], other, atol=1e-3)


def test_each_prompt_has_its_own_bank_best_and_rewards(run):
    batch = run.generate()
    feedback = feedback_on(batch)
    report = run.learn(batch, feedback)
    assert report.updated
    for number, memory in enumerate(run.memories):
        assert torch.equal(memory.bank.good, batch.noises[[4 * number, 4 * number + 2]])
        assert torch.equal(memory.anchor, batch.latents[4 * number])
        own = report.rewards[4 * number : 4 * number + 4]
        assert own[0] == pytest.approx(1.0, abs=1e-5)
        assert run.predict(batch.latents[4 * number :][:4], number) == pytest.approx(own)
    assert run.predict_batch(batch) == pytest.approx(report.rewards)
    assert [each.prompt for each in report.by_prompt] == list(run.prompts)
    assert all((each.good, each.judged, each.images) == (2, 4, 4) for each in report.by_prompt)
    json.dumps(report.to_dict(), allow_nan=False)


def test_more_images_go_to_the_prompt_that_is_harder(run):
    batch = run.generate()
    good = [True] * 4 + [False] * 8
    run.learn(batch, Feedback(tuple(good), best=0))
    counts = [run.generate().prompts.count(prompt) for prompt in run.prompts]
    # two each; the other six by 1/6, 5/6 and 5/6
    assert counts == [2, 5, 5]


def test_it_goes_on_from_a_checkpoint_to_the_last_bit(run, tmp_path):
    batch = run.generate()
    run.learn(batch, feedback_on(batch, (True, False, False)))
    run.save(tmp_path / "one")
    again = Method.resume(tmp_path / "one")
    for each in (run, again):
        batch = each.generate()
        each.learn(batch, feedback_on(batch, (False, True)))
    assert torch.equal(run.generate().latents, again.generate().latents)
    assert torch.equal(lora_of(run), lora_of(again))


def test_a_prompt_without_good_images_does_not_stop_the_others(run):
    batch = run.generate()
    good = tuple(prompt != "a cat" and row % 2 == 0 for row, prompt in enumerate(batch.prompts))
    report = run.learn(batch, Feedback(good, best=0, further_bests=(8,)))
    assert report.updated
    assert run.memories[1].bank is None
    assert run.predict_batch(batch)[4:8] == [None] * 4
    if run.settings.name == "hero":
        assert "a cat: None of the 4 judged images is good" in report.note
        assert report.to_dict()["rewards"][4:8] == [None] * 4


def test_advantages_are_within_a_prompt(make_config, monkeypatch):
    run = Method.create(make_config(**THREE))
    seen = {}

    def update(*args, captions, **_options):
        seen["advantages"], seen["captions"] = args[4], captions
        raise KeyboardInterrupt

    monkeypatch.setattr("hero_engine.methods.policy_gradient.update", update)
    batch = run.generate()
    with pytest.raises(KeyboardInterrupt):
        run.learn(batch, feedback_on(batch))
    for number in range(3):
        own = seen["advantages"][seen["captions"] == number]
        assert float(own.mean()) == pytest.approx(0.0, abs=1e-5)
        assert float(own.std(correction=0)) == pytest.approx(1.0, abs=1e-3)


def test_the_steps_of_hero_plus_draw_each_good_latent_under_its_own_prompt(make_config):
    run = Method.create(make_config(**{**THREE, **PLUS, "keep": "none"}))
    batch = run.generate()
    run.learn(batch, feedback_on(batch))
    seen = []

    def denoise(z_t, timesteps, captions):
        seen.append(captions)
        return torch.zeros_like(z_t, requires_grad=True)

    terms = next(iter(run._terms(denoise, 1)))
    assert {int(number) for captions in seen for number in captions} == {0, 1, 2}
    learned, held = (sum(len(t.latents) for t in terms if t.weight == w) for w in (1.0, 10.0))
    assert (learned, held) == (6, 3)
    assert all(isinstance(term.latents, Noised) for term in terms)
    assert all(term.latents.captions is not None for term in terms)


def test_prompts_beside_each_are_kept_on_its_own_latents(make_config):
    prompts = {"prompt": "one rose", "further_prompts": ["two roses", "a cat"]}
    run = Method.create(make_config(**{**THREE, **PLUS, **prompts, "keep": "neighbours"}))
    kept = run.settings.kept_beside(run.prompts)
    assert kept == {"rose": 0, "three roses": 1, "roses": 1, "two cats": 2, "cat": 2}
    batch = run.generate()
    run.learn(batch, feedback_on(batch))
    seen = []

    def noised(z_0, first, generator):
        seen.append(z_0)
        return run.__class__._noised(run, z_0, first, generator)

    run._noised = noised
    for _ in run._terms(run.policy.denoiser(run.prompts, guided=False), len(kept)):
        pass
    for number, z_0 in zip(kept.values(), seen, strict=True):
        own = run.replays[number].good_latents
        assert all(any(torch.equal(each, good) for good in own) for each in z_0)


def test_a_model_is_judged_by_every_prompt_alike(make_config):
    """Also where the easy prompt has more images in one batch, and the hard one in the next."""
    run = Method.create(make_config(**{**THREE, **PLUS}))
    standing = run.standing
    standing.judge([[True] * 8, [False] * 2, [True, False]])
    assert standing.current.tally.rate == pytest.approx((1 + 0 + 0.5) / 3)
    standing.updated({"lora": {}}, 1)
    # fewer good ones in all, and yet each prompt is better than before
    assert standing.judge([[True] * 2, [True, False, False, False], [True] * 3 + [False]]) is None


def test_a_model_is_good_enough_where_every_prompt_is():
    proven, not_yet = Tally(80, 80), Tally(40, 40)
    assert proven.proves(0.95)
    assert not not_yet.proves(0.95)
    assert Tallies((proven, proven)).proves(0.95)
    assert not Tallies((proven, not_yet)).proves(0.95)


def test_draws_of_each_prompts_good_latents():
    settings = HeroPlusSettings(denoising_steps=10, denoising_batch_size=12)
    # 40 draws each at most: few good ones, many, none; and one that is nearly done
    tallies = [Tally(1, 4), Tally(3, 4), Tally(0, 4), Tally(99, 100)]
    draws = draws_by_prompt(settings, [0, 60, 0, 60], tallies)
    assert draws == [0.0, 30.0, 0.0, 30.0 * 0.25]
    assert draws_by_prompt(settings, [1, 60, 0, 0], tallies)[0] == 30.0  # 16 * 2 is more than 30
    few = HeroPlusSettings(denoising_steps=40, denoising_batch_size=12)
    assert draws_by_prompt(few, [1, 0, 0, 0], tallies)[0] == 32.0
    done = [Tally(99, 100)] * 4
    assert draws_by_prompt(settings, [60] * 4, done) == [0.0] * 4


def test_a_best_of_each_prompt_and_no_more(run):
    batch = run.generate()
    with pytest.raises(FeedbackError, match="send one best a prompt"):
        run.learn(batch, Feedback((True,) * 12, best=0, further_bests=(1,)))
    with pytest.raises(FeedbackError, match="best image is number 12"):
        run.learn(batch, Feedback((True,) * 12, best=0, further_bests=(12,)))
    batch.prompts = ("a dog",) * 12
    with pytest.raises(FeedbackError, match="'a dog', which is no prompt of this run"):
        run.learn(batch, Feedback((True,) * 12))
    assert run.epoch == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"method": "d3po"}, "a run of the method d3po has one prompt"),
        ({"further_prompts": ["one rose"]}, "the prompt 'one rose' is there twice"),
        ({"held_out": ["a cat"]}, "the prompt 'a cat' is there twice"),
        ({"images_per_epoch": 11}, "each needs 4; raise images_per_epoch to 12"),
        ({"further_prompts": [" "]}, "must not be empty"),
    ],
)
def test_what_cannot_be_is_refused(make_config, fields, said):
    with pytest.raises(ConfigError, match=said):
        make_config(**{**THREE, **fields})


def test_a_configuration_of_one_prompt_is_written_as_before(make_config):
    assert not {"further_prompts", "held_out"} & set(make_config().flat())
    flat = make_config(**{**THREE, "held_out": ["a dog"]}).flat()
    assert (flat["further_prompts"], flat["held_out"]) == (["a cat", "two cats"], ["a dog"])
