import itertools

import pytest
import torch

from hero_engine.diffusion.forward_process import noised, snr_weights, squared_errors
from hero_engine.feedback import replay_weights
from hero_engine.feedback.contrast import Contrast
from hero_engine.feedback.replay import Replay
from hero_engine.methods.hero import Hero
from hero_engine.methods.hero_plus import HeroPlus
from hero_engine.storage.batch import Feedback

HALF_GOOD = Feedback(good=(True, False, None, False) * 2, best=0)
SMALL = {"method": "hero+", "denoising_batch_size": 8}
GUIDED = {"denoising_guided": True, "guidance_scale": 3.0}


def lora_of(run):
    return torch.cat([value.flatten() for value in run.policy.lora_state().values()])


def test_replay_keeps_every_judged_latent_with_its_verdict(hero):
    batch = hero.generate()
    replay = Replay.empty(hero.policy.latent_shape).add(batch, HALF_GOOD).add(batch, HALF_GOOD)
    assert replay.good.tolist() == [True, False, False] * 4
    assert torch.equal(replay.latents[:3], batch.latents[[0, 1, 3]])
    drawn = replay.draw(50, torch.Generator().manual_seed(0), good=True)
    assert {row.numpy().tobytes() for row in drawn} == {
        batch.latents[index].numpy().tobytes() for index in (0, 4)
    }


def test_latents_are_drawn_in_proportion_to_their_weights(hero):
    latents = torch.arange(4.0)[:, None, None, None].expand(4, *hero.policy.latent_shape)
    replay = Replay(latents, torch.tensor([True, False, True, True]))
    weights = torch.tensor([1.0, 0.0, 3.0])
    drawn = replay.draw(2000, torch.Generator().manual_seed(0), good=True, weights=weights)
    counts = torch.bincount(drawn[:, 0, 0, 0].long(), minlength=4)
    assert counts[1:3].tolist() == [0, 0]
    assert 0.2 < counts[0] / 2000 < 0.3


def test_heros_own_part_is_that_of_hero(make_config):
    plus, hero = HeroPlus(make_config(**SMALL)), Hero(make_config())
    one, other = (run.learn(run.generate(), HALF_GOOD) for run in (plus, hero))
    assert one.rewards == other.rewards
    assert one.loss == other.loss
    assert one.denoising_loss > 0
    assert plus.bank.good.equal(hero.bank.good)
    assert not torch.equal(lora_of(plus), lora_of(hero))


def test_the_denoising_loss_of_good_images_falls(make_config):
    run = HeroPlus(make_config(**SMALL, denoising_steps=12, denoising_lr=1e-2, noise="normal"))
    losses = [run.learn(run.generate(), HALF_GOOD).denoising_loss for _ in range(2)]
    assert losses[1] < losses[0]


def test_few_good_images_are_worth_few_steps(make_config):
    run = HeroPlus(make_config(**SMALL, denoising_steps=5, denoising_repeats=6))
    steps = []
    for good in (1, 2, 8):
        feedback = Feedback(tuple(index < good for index in range(8)), best=0)
        run.learn(run.generate(), feedback, on_progress=lambda at: steps.append(at))
    drawn = [at.total for at in steps if at.stage == "denoising" and at.done == at.total]
    # six draws of 1, 3 and 11 good latents, eight a step: 6 / 8, 18 / 8, and more than the five
    assert drawn == [1, 3, 5]


def test_few_failures_are_worth_few_steps(make_config):
    fields = {"inner_epochs": 0, "denoising_steps": 6, "denoising_full_share": 0.5}
    for good, fresh_share, steps in [(2, 0.0, 6), (6, 0.0, 3), (8, 0.0, None), (6, 0.5, 6)]:
        run = HeroPlus(make_config(**SMALL, **fields, fresh_share=fresh_share))
        feedback = Feedback(tuple(index < good for index in range(8)), best=0)
        run.learn(run.generate(), feedback)
        before = lora_of(run)
        report = run.learn(run.generate(), feedback)
        assert report.denoising_steps == steps
        assert torch.equal(before, lora_of(run)) == (steps is None)
        assert report.updated == (steps is not None)
        assert ("the model was not changed" in report.note) == (steps is None)


def test_steps_that_begin_anew_depend_on_nothing_but_the_judged_latents(make_config, tmp_path):
    fields = {"inner_epochs": 0, "denoising_steps": 3, "denoising_anew": True}
    run = HeroPlus(make_config(**SMALL, **fields, lora_ema_decay=0.5))
    run.learn(run.generate(), HALF_GOOD)
    run.save(tmp_path / "checkpoint")
    other = HeroPlus.resume(tmp_path / "checkpoint")
    other.policy.load_lora_state({k: v + 1 for k, v in other.policy.lora_state().items()})
    other.denoising_optimizer.state.clear()
    batch = run.generate()
    for each in (run, other):
        each.learn(batch, HALF_GOOD)
    assert torch.equal(lora_of(run), lora_of(other))
    assert all(map(torch.equal, run.average.means, other.average.means))


def test_a_pull_to_the_pretrained_model_keeps_the_weights_nearer(make_config):
    changes = []
    for weight in (0.0, 100.0):
        fields = {"denoising_steps": 8, "denoising_lr": 3e-3, "pretrained_weight": weight}
        run = HeroPlus(make_config(**SMALL, **fields))
        batch = run.generate()
        feedback = Feedback((True,) * 8, best=0)
        run.learn(batch, feedback)
        denoise = run.policy.denoiser("one rose", run.config)
        z_t, timesteps = batch.noises, torch.full((8,), 500)
        with torch.no_grad():
            present = denoise(z_t, timesteps)
            with run.policy.pretrained():
                changes.append(float((present - denoise(z_t, timesteps)).norm()))
    assert 0 < changes[1] < 0.7 * changes[0]


@pytest.mark.parametrize(
    ("field", "caption"), [("preservation_weight", "a rose"), ("unconditional_weight", "")]
)
def test_pulls_on_the_pretrained_models_own_latents_keep_other_captions(
    make_config, field, caption
):
    changes = []
    for weight in (0.0, 100.0):
        fields = {"denoising_steps": 8, "denoising_lr": 3e-3, "class_prompt": "a rose"}
        run = HeroPlus(make_config(**SMALL, **fields, prior_images=5, **{field: weight}))
        run.learn(run.generate(), Feedback((True,) * 8, best=0))
        assert (run.prior is None) == (weight == 0)
        denoise = run.policy.denoiser(caption, run.config.unguided)
        z_t, timesteps = run.generate().noises, torch.full((8,), 500)
        with torch.no_grad():
            present = denoise(z_t, timesteps)
            with run.policy.pretrained():
                changes.append(float((present - denoise(z_t, timesteps)).norm()))
    assert 0 < changes[1] < 0.7 * changes[0]


def test_the_pretrained_models_own_latents_are_drawn_once(make_config, tmp_path):
    run = HeroPlus(make_config(**SMALL, denoising_steps=1, prior_images=5, preservation_weight=1.0))
    assert "prior" in run.learn(run.generate(), HALF_GOOD).seconds
    run.save(tmp_path)
    stopped = HeroPlus.resume(tmp_path)
    assert torch.equal(stopped.prior, run.prior)
    assert "prior" not in stopped.learn(stopped.generate(), HALF_GOOD).seconds


@pytest.mark.parametrize("space", ["embedding", "latents"])
@pytest.mark.parametrize("weights", ["reward", "novelty", "rarity"])
def test_weights_are_of_the_good_latents_so_far(make_config, weights, space):
    run = HeroPlus(make_config(**SMALL, denoising_weights=weights, denoising_space=space))
    assert run.learn(run.generate(), HALF_GOOD).denoising_loss > 0
    run.learn(run.generate(), HALF_GOOD)
    found = run._weights()
    assert len(found) == 4
    assert found.min() > 0
    assert found.unique().numel() > 1


def test_rarity_can_be_measured_in_the_latents_own_space(make_config):
    run = HeroPlus(make_config(**SMALL, denoising_weights="rarity", denoising_space="latents"))
    run.learn(run.generate(), HALF_GOOD)
    good = run.replay.latents[run.replay.good]
    assert torch.equal(run._weights(), replay_weights.rarity(good.flatten(1)))
    assert run._points(good).shape == (2, 4 * 8 * 8)


def test_the_embedding_may_learn_from_all_epochs(make_config):
    runs = [HeroPlus(make_config(**SMALL, embedding_replay=replay)) for replay in (False, True)]
    for run in runs:
        run.learn(run.generate(), HALF_GOOD)
    batch = runs[0].generate()
    assert torch.equal(runs[1].generate().latents, batch.latents)
    seen = [run._embedding_examples(batch, Contrast.of(HALF_GOOD)) for run in runs]
    assert [len(part) for part in seen[0]] == [2, 4]
    runs[1]._keep(batch, HALF_GOOD)
    good, bad = runs[1]._embedding_examples(batch, Contrast.of(HALF_GOOD))
    assert (len(good), len(bad)) == (4, 8)
    assert torch.equal(good[2:], batch.latents[[0, 4]])


def test_the_steps_may_learn_from_the_present_batch_alone(make_config):
    run = HeroPlus(make_config(**SMALL, denoising_replay=False))
    for _ in range(2):
        batch = run.generate()
        run.learn(batch, HALF_GOOD)
    assert torch.equal(run.replay.latents, batch.latents[[0, 1, 3, 4, 5, 7]])


def test_denoising_steps_end_once_the_model_has_changed_enough(make_config):
    reports = []
    for limit in (0.0, 1e-9, 1e9):
        fields = {"denoising_steps": 4, "denoising_lr": 1e-2, "max_denoising_change": limit}
        run = HeroPlus(make_config(**SMALL, **fields))
        reports.append(run.learn(run.generate(), HALF_GOOD))
    assert [report.denoising_steps for report in reports] == [4, 1, 4]
    assert reports[0].denoising_change is None
    assert 0 < reports[1].denoising_change < reports[2].denoising_change


def test_with_every_part_a_stopped_run_ends_as_one_that_was_not(make_config, tmp_path):
    everything = {
        "fresh_share": 0.5,
        "embedding_replay": True,
        "embedding_ensemble": 2,
        "disagreement_weight": 1.0,
        "lora_ema_decay": 0.9,
        "step_back_drop": 0.2,
        "denoising_steps": 3,
        "denoising_weights": "rarity",
        "max_denoising_change": 1e-6,
        "negative_share": 0.5,
        "first_step_share": 0.5,
        "pretrained_weight": 0.1,
        "preservation_weight": 0.1,
        "unconditional_weight": 0.1,
        "prior_images": 3,
    }
    through = HeroPlus(make_config(**SMALL, **everything))
    through.learn(through.generate(), HALF_GOOD)
    through.save(tmp_path)
    stopped = HeroPlus.resume(tmp_path)
    for run in (through, stopped):
        run.learn(run.generate(), HALF_GOOD)
    one, other = through._tensors(), stopped._tensors()
    assert one.keys() == other.keys()
    for file, tensors in one.items():
        assert all(torch.equal(tensor, other[file][name]) for name, tensor in tensors.items())
    assert torch.equal(through.sample(2).latents, stopped.sample(2).latents)


def test_negatives_and_guidance_change_what_is_learned(make_config):
    loras = []
    for fields in ({}, {"negative_share": 0.5}, {"negative_share": "judged"}, GUIDED):
        run = HeroPlus(make_config(**SMALL, denoising_steps=4, **fields))
        report = run.learn(run.generate(), HALF_GOOD)
        assert report.denoising_loss > 0
        loras.append(lora_of(run))
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(loras, 2))


def test_a_share_of_the_good_latents_is_learned_from_as_sampling_begins(make_config):
    run = HeroPlus(make_config(**SMALL, first_step_share=0.25, negative_share=0.5))
    latents = torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    run.replay = Replay(latents, torch.tensor([True] * 6 + [False] * 2))
    denoise = run.policy.denoiser(run.prompt, run.config.unguided)
    noisy, first = run._terms(denoise, torch.Generator().manual_seed(0))()
    # of eight latents four are bad, and one in four of the good ones
    assert noisy.latents.optimality.tolist() == [1.0] * 3 + [0.0] * 4
    assert first.latents.optimality.tolist() == [1.0]
    assert (noisy.weight, first.weight) == (7 / 8, 1 / 8)
    assert first.latents.timesteps.min() >= run.schedule.timesteps[0]


@pytest.mark.parametrize(("share", "counts"), [(0.0, [8]), (0.25, [6, 2]), (0.9, [1, 7])])
def test_the_model_is_held_on_its_own_latents_where_sampling_begins_too(make_config, share, counts):
    weights = {"preservation_weight": 0.5, "unconditional_weight": 0.25}
    run = HeroPlus(make_config(**SMALL, **weights, first_step_share=share))
    run.replay = Replay(torch.zeros(8, 4, 16, 16), torch.tensor([True] * 8))
    run.prior = torch.ones(3, 4, 16, 16)
    denoise = run.policy.denoiser(run.prompt, run.config.unguided)
    terms = run._terms(denoise, torch.Generator().manual_seed(0))()
    own = terms[len(counts) :]
    assert [len(term.latents) for term in own] == [count for count in counts for _ in weights]
    assert [term.weight for term in own] == [
        weight * count / 8 for count in counts for weight in weights.values()
    ]
    for begun in own[2:]:
        assert begun.latents.timesteps.min() >= run.schedule.timesteps[0]
        assert begun.latents.z_t.std() == pytest.approx(1, abs=0.1)


def test_judged_latents_are_bad_in_their_own_proportion(make_config):
    run = HeroPlus(make_config(**SMALL, negative_share="judged"))
    run.replay = Replay(torch.zeros(8, 4, 16, 16), torch.tensor([True] * 6 + [False] * 2))
    generator = torch.Generator().manual_seed(0)
    drawn = [run._bad_latents(16, generator) for _ in range(400)]
    assert sum(drawn) / len(drawn) == pytest.approx(4, abs=0.3)
    assert len(set(drawn)) > 5


def test_the_guided_prediction_is_what_learns(make_config):
    """The loss is the guided prediction's."""
    run = HeroPlus(make_config(**SMALL, **GUIDED))
    batch = run.generate()
    run._keep(batch, HALF_GOOD)
    denoise = run.policy.denoiser(batch.prompt, run.config)
    losses = run._losses(denoise, plain=True)
    part = noised(run.policy.pipe.scheduler, batch.latents, torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = squared_errors(denoise(part.z_t, part.timesteps), part.target)
        expected = expected * snr_weights(part.snr, "epsilon", weighting="min-snr", gamma=5.0)
        assert torch.allclose(losses(part), expected)


def test_without_passes_over_the_batch_only_the_denoising_steps_teach(make_config):
    run = HeroPlus(make_config(**SMALL, inner_epochs=0, denoising_steps=2))
    for feedback in (HALF_GOOD, Feedback((True,) * 8, best=0)):
        report = run.learn(run.generate(), feedback)
        assert report.updated
        assert report.loss is None
        assert report.denoising_loss > 0
        assert not report.note
    with pytest.raises(ValueError, match="with hero set it to 1"):
        make_config(inner_epochs=0)


def test_where_the_steps_teach_alone_a_missing_best_is_still_said(make_config):
    run = HeroPlus(make_config(**SMALL, inner_epochs=0, denoising_steps=1))
    half = Feedback((True, False) * 4)
    notes = [run.learn(run.generate(), each).note for each in (half, HALF_GOOD, half)]
    assert notes[0] == "No best image has been chosen yet, so nothing can be predicted."
    assert notes[1] == ""
    assert notes[2] == "No best image was chosen, so an earlier epoch's best stayed the anchor."


@pytest.mark.parametrize(
    ("feedback", "note"),
    [
        (Feedback((True,) * 8, best=0), "since all of the 8 judged images are good."),
        (Feedback((True, False) * 4), "since no best image has been chosen yet."),
    ],
)
def test_what_is_left_out_is_said(make_config, feedback, note):
    run = HeroPlus(make_config(**SMALL, denoising_steps=1))
    report = run.learn(run.generate(), feedback)
    assert report.updated
    assert report.loss is None
    assert report.note.startswith("Only the denoising steps on the good images so far were made")
    assert report.note.endswith(note)


def test_the_reference_models_leave_the_present_one_as_it_is(hero):
    hero.learn(hero.generate(), HALF_GOOD)
    denoise = hero.policy.denoiser("one rose", hero.config)
    z_t, timesteps = torch.randn(2, *hero.policy.latent_shape), torch.tensor([900, 300])
    zeros = [torch.zeros_like(parameter) for parameter in hero.policy.parameters]
    with torch.no_grad():
        present = denoise(z_t, timesteps)
        with hero.policy.pretrained():
            pretrained = denoise(z_t, timesteps)
        with hero.policy.as_it_was(zeros):
            without = denoise(z_t, timesteps)
        assert torch.equal(denoise(z_t, timesteps), present)
    torch.testing.assert_close(pretrained, without, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(present, pretrained, atol=1e-5)
    denoise(z_t, timesteps).sum().backward()
    assert all(parameter.grad is not None for parameter in hero.policy.parameters)
