import pytest
import torch
from torch.nn.functional import cosine_similarity

from hero_engine.diffusion.forward_process import squared_errors, v_weights
from hero_engine.errors import ConfigError
from hero_engine.feedback.replay import Replay, rarity
from hero_engine.methods.base import Method
from hero_engine.methods.hero import Hero
from hero_engine.methods.hero_plus import HeroPlus
from hero_engine.methods.make_config import read_config
from hero_engine.storage.batch import Feedback

HALF_GOOD = Feedback(good=(True, False, None, False) * 2, best=0)
ALL_GOOD = Feedback((True,) * 8, best=0)
PLAIN = {
    "method": "hero+",
    "denoising_batch_size": 8,
    "denoising_steps": 4,
    "denoising_repeats": 0,
    "denoising_full_share": 0.0,
    "fresh_share": 0.0,
    "first_step_share": 0.0,
    "pretrained_weight": 0.0,
    "held_share": 0.0,
    "keep_best": False,
    "keep": "none",
}
"""Steps on the denoising loss of the good latents, and nothing else."""


@pytest.fixture
def create(make_config):
    return lambda **fields: HeroPlus(make_config(**{**PLAIN, **fields}))


def lora_of(run):
    return torch.cat([value.flatten() for value in run.policy.lora_state().values()])


def terms_of(run):
    return next(run._terms(run.policy.denoiser(run.prompt, guided=False), 1))


def test_the_feedback_is_heros_and_the_learning_its_own(create, make_config):
    plus, hero = create(), Hero(make_config())
    one, other = (run.learn(run.generate(), HALF_GOOD) for run in (plus, hero))
    assert one.rewards == other.rewards
    assert one.embedding_loss == other.embedding_loss
    assert plus.bank.good.equal(hero.bank.good)
    assert plus.anchor.equal(hero.anchor)
    assert one.loss is None
    assert one.denoising_loss > 0
    assert not torch.equal(lora_of(plus), lora_of(hero))


def test_predictions_are_the_rewards(create):
    run = create(denoising_steps=1)
    batch = run.generate()
    assert run.predict(batch.latents) is None
    report = run.learn(batch, HALF_GOOD)
    assert run.predict(batch.latents) == pytest.approx(report.rewards)


def test_the_denoising_loss_of_good_images_falls(create):
    run = create(denoising_steps=30, denoising_lr=1e-2)
    batch = run.generate()
    good = batch.latents[[0, 4]].repeat(32, 1, 1, 1)
    part = run.policy.forward_process.noised(good, torch.Generator().manual_seed(1))
    losses = []
    for learn in (True, False):
        with torch.no_grad():
            denoise = run.policy.denoiser(batch.prompt, guided=False)
            losses.append(float(run._losses(denoise)(part).mean()))
        if learn:
            run.learn(batch, HALF_GOOD)
    assert losses[1] < 0.98 * losses[0]


def test_few_good_images_are_worth_few_steps(create):
    run = create(denoising_steps=5, denoising_repeats=6)
    steps = []
    for good in (1, 2, 8):
        feedback = Feedback(tuple(index < good for index in range(8)), best=0)
        run.learn(run.generate(), feedback, on_progress=lambda at: steps.append(at))
    drawn = [at.total for at in steps if at.stage == "denoising" and at.done == at.total]
    # six draws of 1, 3 and 11 good latents, eight a step: 6 / 8, 18 / 8, and more than the five
    assert drawn == [1, 3, 5]


@pytest.mark.parametrize(
    ("good", "fresh_share", "steps"), [(2, 0.0, 6), (6, 0.0, 3), (8, 0.0, None), (6, 0.5, 6)]
)
def test_few_failures_are_worth_few_steps(create, good, fresh_share, steps):
    run = create(denoising_steps=6, denoising_full_share=0.5, fresh_share=fresh_share)
    feedback = Feedback(tuple(index < good for index in range(8)), best=0)
    run.learn(run.generate(), feedback)
    before = lora_of(run)
    report = run.learn(run.generate(), feedback)
    assert report.denoising_steps == steps
    assert torch.equal(before, lora_of(run)) == (steps is None)
    assert report.updated == (steps is not None)
    assert ("the model was not changed" in report.note) == (steps is None)


def test_where_only_old_images_fail_there_is_nothing_to_mend(create):
    run = create(denoising_full_share=0.5, fresh_share=0.5)
    run.learn(run.generate(), HALF_GOOD)
    report = run.learn(run.generate(), Feedback((False,) * 4 + (True,) * 4, best=4))
    assert report.success_rate_fresh == 1
    assert not report.updated
    assert report.note.startswith("All of the fresh images are good, so there is nothing to mend")


def change_by_learning(run, caption):
    """How far the model's predictions for a caption are from the pretrained one's."""
    denoise = run.policy.denoiser(caption, guided=False)
    z_t, timesteps = run.generate().noises, torch.full((8,), 500)
    with torch.no_grad():
        present = denoise(z_t, timesteps)
        with run.policy.pretrained():
            return float((present - denoise(z_t, timesteps)).norm())


def test_a_pull_to_the_pretrained_model_keeps_it_nearer(create):
    changes = []
    for weight in (0.0, 1e4):
        run = create(denoising_steps=8, denoising_lr=3e-3, pretrained_weight=weight)
        run.learn(run.generate(), ALL_GOOD)
        changes.append(change_by_learning(run, "one rose"))
    assert 0 < changes[1] < 0.7 * changes[0]


def test_a_pull_on_the_pretrained_models_own_latents_keeps_their_caption(create):
    changes = []
    for weight in (0.0, 1e4):
        fields = {"class_prompt": "a rose", "prior_images": 5, "preservation_weight": weight}
        run = create(denoising_steps=8, denoising_lr=3e-3, **fields)
        run.learn(run.generate(), ALL_GOOD)
        assert (run.prior is None) == (weight == 0)
        changes.append(change_by_learning(run, "a rose"))
    assert 0 < changes[1] < 0.7 * changes[0]


def test_a_kept_prompt_stays_nearer_to_what_it_was(create):
    changes = []
    for keep in ("none", ("a rose", "two roses")):
        run = create(denoising_steps=8, denoising_lr=3e-3, keep=keep, keep_weight=1e4)
        run.learn(run.generate(), ALL_GOOD)
        changes.append([change_by_learning(run, caption) for caption in ("a rose", "two roses")])
    assert all(0 < kept < 0.7 * free for free, kept in zip(*changes, strict=True))


def test_kept_prompts_take_turns_on_half_as_many_latents(create):
    run = create(keep=("a rose", "two roses"), first_step_share=0.25)
    run.replays = [Replay(torch.zeros(8, 4, 8, 8), torch.tensor([True] * 8))]
    with torch.no_grad():
        for parameter in run.policy.parameters:
            torch.nn.init.normal_(parameter, std=0.5)
        steps = list(run._terms(run.policy.denoiser(run.prompt, guided=False), 3))
        for step, caption in zip(steps, ("a rose", "two roses", "a rose"), strict=True):
            _, kept = step
            assert (len(kept.latents), kept.weight) == (4, 1.0)
            assert kept.latents.timesteps[3] >= run.schedule.timesteps[0]
            denoise = run.policy.denoiser(caption, guided=False)
            change = kept.latents.change(denoise(kept.latents.z_t, kept.latents.timesteps))
            torch.testing.assert_close(kept.losses(kept.latents), change)
            with run.policy.pretrained():
                held = denoise(kept.latents.z_t, kept.latents.timesteps)
            torch.testing.assert_close(kept.latents.pretrained, held)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("neighbours", ("two roses", "rose")),
        ("none", ()),
        ("a tulip", ("a tulip",)),
        (["none"], ()),
        (["a tulip ", "rose"], ("a tulip", "rose")),
    ],
)
def test_what_is_kept_is_said_or_lies_next_to_the_prompt(make_config, keep, kept):
    config = make_config(method="hero+", keep=keep, prompt="one rose")
    assert config.method.kept(config.prompt) == kept
    assert read_config(config.flat())[0] == config


def test_an_earlier_run_keeps_nothing(make_config):
    stored = make_config(method="hero+").flat()
    del stored["keep"]
    assert read_config(stored)[0].method.kept("one rose") == ()


def test_a_kept_prompt_is_not_blank(make_config):
    with pytest.raises(ConfigError, match="keep: must not be empty"):
        make_config(method="hero+", keep=[" "])


def test_the_pretrained_models_own_latents_are_drawn_once(create, tmp_path):
    run = create(denoising_steps=1, prior_images=5, preservation_weight=1.0)
    assert "prior" in run.learn(run.generate(), HALF_GOOD).seconds
    run.save(tmp_path)
    stopped = Method.resume(tmp_path)
    assert torch.equal(stopped.prior, run.prior)
    assert "prior" not in stopped.learn(stopped.generate(), HALF_GOOD).seconds


def test_good_latents_of_all_epochs_are_drawn_by_their_rarity(create, monkeypatch):
    run = create(denoising_steps=1)
    for _ in range(2):
        run.learn(run.generate(), HALF_GOOD)
    good = run.replay.good_latents
    assert len(good) == 4
    seen = []

    def drawn(rows, weights, n, generator):
        seen.append((rows, weights, n))
        return rows[:n]

    monkeypatch.setattr("hero_engine.feedback.examples.draw", drawn)
    (term,) = terms_of(run)
    ((rows, weights, n),) = seen
    assert torch.equal(rows, torch.arange(4))
    assert len(term.latents) == 4
    assert torch.equal(weights, rarity(good.flatten(1)))
    assert n == 8


def test_the_loss_is_the_error_of_v_without_guidance_and_the_pull(create):
    run = create(pretrained_weight=0.5, negative_prompt="two cats")
    batch = run.generate()
    torch.manual_seed(0)
    for parameter in run.policy.parameters:
        torch.nn.init.normal_(parameter, std=0.5)
    pipe = run.policy.pipe
    embeds = pipe.encode_prompt("one rose", "cpu", 1, False)[0].repeat(8, 1, 1)
    part = run.policy.forward_process.noised(batch.latents, torch.Generator().manual_seed(1))
    alpha = pipe.scheduler.alphas_cumprod[part.timesteps]
    with torch.no_grad():
        prediction = pipe.unet(part.z_t, part.timesteps, embeds).sample
        with run.policy.pretrained():
            pretrained = pipe.unet(part.z_t, part.timesteps, embeds).sample
        expected = squared_errors(prediction, part.target)
        expected = expected * v_weights(alpha / (1 - alpha), "epsilon")
        expected = expected + 0.5 * squared_errors(prediction, pretrained)
        denoise = run.policy.denoiser(batch.prompt, guided=False)
        ((compared,),) = run._targets(denoise, [[part]])
        losses = run._losses(denoise)(compared)
    assert squared_errors(prediction, pretrained).min() > 1e-4
    torch.testing.assert_close(losses, expected)


def test_a_share_of_the_good_latents_is_learned_from_as_sampling_begins(create):
    run = create(first_step_share=0.25)
    run.replays = [Replay(torch.ones(8, 4, 8, 8), torch.tensor([True] * 6 + [False] * 2))]
    (term,) = terms_of(run)
    assert (len(term.latents), term.weight) == (8, 1.0)
    first = term.latents[6:]
    assert first.timesteps.min() >= run.schedule.timesteps[0]
    assert first.z_t.mean().abs() < 0.2


@pytest.mark.parametrize(("share", "first"), [(0.0, 8), (0.25, 6), (0.9, 1)])
def test_the_model_is_held_on_its_own_latents_where_sampling_begins_too(create, share, first):
    run = create(preservation_weight=0.5, first_step_share=share)
    run.replays = [Replay(torch.zeros(8, 4, 8, 8), torch.tensor([True] * 8))]
    run.prior = torch.ones(3, 4, 8, 8)
    _, own = terms_of(run)
    assert (len(own.latents), own.weight) == (8, 0.5)
    noise_only = own.latents[first:]
    if len(noise_only):
        assert noise_only.timesteps.min() >= run.schedule.timesteps[0]
        assert noise_only.z_t.std() == pytest.approx(1, abs=0.1)


def test_in_one_pass_the_gradient_is_that_of_format_1(create):
    found = []
    for form in (1, 2):
        run = create(preservation_weight=0.5, first_step_share=0.25, pretrained_weight=1.0)
        run.config = run.config.replaced(format=form)
        run.replays = [
            Replay(torch.linspace(-1, 1, 2048).view(8, 4, 8, 8), torch.tensor([True] * 8))
        ]
        run.prior = torch.ones(3, 4, 8, 8)
        terms = terms_of(run)
        for term in terms:
            for part in term.parts(8):
                part.backward(run.policy.device)
        found.append((len(terms), torch.cat([p.grad.flatten() for p in run.policy.parameters])))
    (parts, one), (merged, other) = found
    assert (parts, merged) == (4, 2)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * float(one.abs().max()))


def test_with_every_part_a_stopped_run_ends_as_one_that_was_not(create, tmp_path):
    everything = {
        "fresh_share": 0.5,
        "step_back_drop": 0.2,
        "denoising_steps": 3,
        "denoising_repeats": 32,
        "denoising_full_share": 0.25,
        "first_step_share": 0.5,
        "pretrained_weight": 0.1,
        "preservation_weight": 0.1,
        "prior_images": 3,
    }
    through = create(**everything)
    through.learn(through.generate(), HALF_GOOD)
    through.save(tmp_path)
    stopped = Method.resume(tmp_path)
    for run in (through, stopped):
        run.learn(run.generate(), HALF_GOOD)
    one, other = through._tensors(), stopped._tensors()
    assert one.keys() == other.keys()
    for file, tensors in one.items():
        assert all(torch.equal(tensor, other[file][name]) for name, tensor in tensors.items())
    assert torch.equal(through.sample(2).latents, stopped.sample(2).latents)


def test_epochs_without_contrast_still_have_good_images_to_learn_from(create):
    run = create(denoising_steps=2)
    for feedback in (HALF_GOOD, ALL_GOOD):
        report = run.learn(run.generate(), feedback)
        assert report.updated
        assert report.loss is None
        assert report.denoising_loss > 0
        assert not report.note


@pytest.mark.parametrize("feedback", [Feedback((None,) * 8), Feedback((False,) * 8)])
def test_without_a_good_image_nothing_is_learned(create, feedback):
    run = create()
    before = lora_of(run)
    report = run.learn(run.generate(), feedback)
    assert not report.updated
    assert report.note
    assert torch.equal(lora_of(run), before)


def test_a_bad_batch_is_learned_from_with_the_good_images_of_earlier_ones(create):
    run = create(denoising_steps=1)
    run.learn(run.generate(), HALF_GOOD)
    before = lora_of(run)
    assert run.learn(run.generate(), Feedback((False,) * 8)).updated
    assert not torch.equal(lora_of(run), before)


def test_a_missing_best_is_said(create):
    run = create(denoising_steps=1)
    half = Feedback((True, False) * 4)
    notes = [run.learn(run.generate(), each).note for each in (half, HALF_GOOD, half)]
    assert notes[0] == "No best image has been chosen yet, so nothing can be predicted."
    assert notes[1] == ""
    assert notes[2] == "No best image was chosen, so an earlier epoch's best stayed the anchor."


def test_by_default_half_of_a_batch_is_fresh(make_config):
    run = HeroPlus(make_config(method="hero+", denoising_steps=1))
    first = run.generate()
    run.learn(first, Feedback((True,) + (False,) * 7, best=0))
    similarity = cosine_similarity(run.generate().noises.flatten(1), first.noises[:1].flatten(1))
    assert similarity[:4].min() > 0.9
    assert similarity[4:].abs().max() < 0.3


def test_the_cleaner_levels_are_held_and_the_noisier_ones_learned_from(create):
    run = create(held_share=0.5, held_weight=3.0)
    run.replays = [Replay(torch.ones(8, 4, 8, 8), torch.tensor([True] * 6 + [False] * 2))]
    learned, held = terms_of(run)
    assert (len(learned.latents), learned.weight) == (8, 1.0)
    assert (len(held.latents), held.weight) == (4, 3.0)
    assert learned.latents.timesteps.min() >= 500 > held.latents.timesteps.max()
    assert run.workload().latents == 4 * (8 + 4)
    for parameter in run.policy.parameters:
        torch.nn.init.normal_(parameter, std=0.5)
    part = held.latents
    denoise = run.policy.denoiser(run.prompt, guided=False)
    with torch.no_grad():
        with run.policy.pretrained():
            pretrained = denoise(part.z_t, part.timesteps)
        expected = squared_errors(denoise(part.z_t, part.timesteps), pretrained)
        torch.testing.assert_close(held.losses(part), expected)


def test_where_few_are_good_each_is_drawn_twice_as_often(create):
    run = create(keep_best=True, fresh_share=1.0, denoising_steps=100, denoising_repeats=8)
    steps = []
    for good in (1, 4):
        feedback = Feedback(tuple(index < good for index in range(8)), best=0)
        steps.append(run.learn(run.generate(), feedback).denoising_steps)
    # 16 draws of 1 latent; then half of the eight are good: eight draws of 5 latents, 8 a step
    assert steps == [2, 5]


def test_what_is_made_ahead_for_several_steps_changes_nothing(create):
    made = []
    for images_at_once in (2, 8):  # passes of 4 latents, half a step, and of 16, two steps
        run = create(
            pretrained_weight=1.0,
            preservation_weight=0.5,
            prior_images=3,
            denoising_steps=5,
            first_step_share=0.25,
            sample_batch_size=images_at_once,
        )
        run.replays = [
            Replay(torch.linspace(-1, 1, 2048).view(8, 4, 8, 8), torch.tensor([True] * 8))
        ]
        run.prior = torch.ones(3, 4, 8, 8)
        denoise = run.policy.denoiser(run.prompt, guided=False)
        made.append([term.latents for terms in run._terms(denoise, 5) for term in terms])
    assert len(made[0]) == 10
    for one, other in zip(*made, strict=True):
        assert torch.equal(one.z_t, other.z_t)
        assert torch.equal(one.timesteps, other.timesteps)
        torch.testing.assert_close(one.pretrained, other.pretrained)
