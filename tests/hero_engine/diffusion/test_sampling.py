import math

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from hero_engine.diffusion.sampling import (
    Schedule,
    Transitions,
    draw_trained_steps,
    log_prob,
    sample,
)
from hero_engine.errors import ConfigError, UnsupportedModel
from hero_engine.models.stable_diffusion import Policy
from tests.hero_engine.tiny import save_pipeline

STABLE_DIFFUSION = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
}
FINAL_STEP_WITHOUT_NOISE = {**STABLE_DIFFUSION, "steps_offset": 0, "set_alpha_to_one": True}
FINAL_STEP_WITH_NOISE = {**STABLE_DIFFUSION, "steps_offset": 1, "set_alpha_to_one": False}


def draw(policy, config, noises, steps=None):
    return sample(
        policy.denoiser(config.prompt, config),
        policy.schedule(config),
        noises,
        torch.Generator().manual_seed(5),
        steps,
    )


@pytest.mark.parametrize(
    ("scheduler", "guidance_scale"),
    [
        ({}, 5.0),
        ({}, 1.0),
        ({"prediction_type": "v_prediction", "timestep_spacing": "trailing"}, 3.0),
        ({"prediction_type": "sample", "clip_sample": True}, 3.0),
        ({"steps_offset": 0, "set_alpha_to_one": True}, 5.0),
    ],
)
def test_clean_latents_are_those_of_diffusers_to_the_last_bit(
    tmp_path, make_config, scheduler, guidance_scale
):
    folder = save_pipeline(tmp_path / "pipeline", **scheduler)
    config = make_config(
        model=str(folder), num_inference_steps=7, guidance_scale=guidance_scale, eta=1.0
    )
    policy = Policy(config)
    for parameter in policy.parameters:
        torch.nn.init.normal_(parameter, std=0.2)
    noises = torch.randn(3, *policy.latent_shape)
    ours, _ = draw(policy, config, noises)

    theirs = policy.pipe(
        config.prompt,
        num_images_per_prompt=3,
        latents=noises,
        generator=torch.Generator().manual_seed(5),
        eta=1.0,
        guidance_scale=guidance_scale,
        num_inference_steps=7,
        output_type="latent",
    ).images

    assert torch.equal(ours, theirs)


def test_a_new_lora_changes_nothing(pipeline, make_config):
    config = make_config()
    policy = Policy(config)
    noises = torch.randn(2, *policy.latent_shape)
    plain = StableDiffusionPipeline.from_pretrained(pipeline)
    plain.set_progress_bar_config(disable=True)
    theirs = plain(
        config.prompt,
        num_images_per_prompt=2,
        latents=noises,
        generator=torch.Generator().manual_seed(5),
        eta=1.0,
        guidance_scale=config.guidance_scale,
        num_inference_steps=config.num_inference_steps,
        output_type="latent",
    ).images
    assert torch.equal(draw(policy, config, noises)[0], theirs)


def test_log_prob_is_the_mean_of_the_gaussian_log_density():
    z_prev, mean = torch.randn(2, 3, 1, 4, 4)
    std = torch.tensor([0.5, 0.02, 2.0]).view(3, 1, 1, 1)
    expected = torch.distributions.Normal(mean, std).log_prob(z_prev).mean(dim=(1, 2, 3))
    torch.testing.assert_close(log_prob(z_prev, mean, std), expected)


def test_log_prob_by_hand():
    z_prev = torch.full((1, 1, 1, 2), 3.0)
    mean = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    value = log_prob(z_prev, mean, torch.full((1, 1, 1, 1), 2.0))
    assert value.item() == pytest.approx(-0.25 - math.log(2) - 0.5 * math.log(2 * math.pi))


def test_transitions_are_those_of_the_whole_trajectory(make_config):
    config = make_config(num_inference_steps=6)
    policy = Policy(config)
    noises = torch.randn(3, *policy.latent_shape)
    every = torch.arange(6).expand(3, 6)
    z_0, trajectory = draw(policy, config, noises, every)
    steps = torch.tensor([[0, 5], [1, 2], [3, 4]])
    same_z_0, kept = draw(policy, config, noises, steps)

    assert torch.equal(z_0, same_z_0)
    assert torch.equal(trajectory.z_t[:, 0], noises)
    assert torch.equal(trajectory.z_prev[:, -1], z_0)
    assert torch.equal(trajectory.z_prev[:, :-1], trajectory.z_t[:, 1:])
    rows = torch.arange(3)[:, None]
    for name in ("timesteps", "z_t", "z_prev"):
        assert torch.equal(getattr(kept, name), getattr(trajectory, name)[rows, steps])
    torch.testing.assert_close(kept.log_prob, trajectory.log_prob[rows, steps])


def test_kept_memory_does_not_grow_with_the_number_of_steps(make_config):
    sizes = []
    for number in (4, 12):
        config = make_config(num_inference_steps=number)
        policy = Policy(config)
        steps = draw_trained_steps(
            policy.schedule(config), 2, 2, "random", torch.Generator().manual_seed(0)
        )
        _, kept = draw(policy, config, torch.randn(2, *policy.latent_shape), steps)
        sizes.append(sum(tensor.numel() for tensor in vars(kept).values()))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("scheduler", "last_std"), [(FINAL_STEP_WITHOUT_NOISE, 0.0), (FINAL_STEP_WITH_NOISE, 0.0206)]
)
def test_deviation_of_the_final_step(scheduler, last_std):
    schedule = Schedule.of(DDIMScheduler(**{**scheduler, "beta_end": 0.008}), 50, 1.0)
    assert schedule.std[-1].item() == pytest.approx(last_std, abs=1e-4)
    assert len(schedule.trainable) == (49 if last_std == 0 else 50)


def test_a_step_without_noise_is_never_trained_and_log_probs_stay_finite(tmp_path, make_config):
    folder = save_pipeline(tmp_path / "pipeline", steps_offset=0, set_alpha_to_one=True)
    config = make_config(model=str(folder), num_inference_steps=4, trained_steps=3)
    policy = Policy(config)
    schedule = policy.schedule(config)
    steps = draw_trained_steps(schedule, 5, 3, "random", torch.Generator().manual_seed(0))
    assert steps.max() == 2
    _, kept = draw(policy, config, torch.randn(5, *policy.latent_shape), steps)
    assert kept.log_prob.isfinite().all()
    with pytest.raises(ConfigError, match="only 3 of the 4 denoising steps"):
        draw_trained_steps(schedule, 5, 4, "last", torch.Generator())


def test_random_trained_steps_are_distinct_and_cover_all_steps():
    schedule = Schedule.of(DDIMScheduler(**FINAL_STEP_WITH_NOISE), 10, 1.0)
    steps = draw_trained_steps(schedule, 200, 4, "random", torch.Generator().manual_seed(1))
    assert (steps.diff(dim=1) > 0).all()
    counts = torch.bincount(steps.flatten(), minlength=10)
    assert counts.min() > 50
    assert counts.max() < 110


def test_last_trained_steps_end_at_the_clean_latents():
    schedule = Schedule.of(DDIMScheduler(**FINAL_STEP_WITH_NOISE), 10, 1.0)
    steps = draw_trained_steps(schedule, 2, 3, "last", torch.Generator())
    assert steps.tolist() == [[7, 8, 9], [7, 8, 9]]


def test_steps_of_timesteps():
    schedule = Schedule.of(DDIMScheduler(**FINAL_STEP_WITH_NOISE), 10, 1.0)
    assert schedule.steps_of(schedule.timesteps[[3, 0, 9]]).tolist() == [3, 0, 9]


def test_unusable_schedules_say_so():
    with pytest.raises(UnsupportedModel, match="dynamic thresholding"):
        Schedule.of(DDIMScheduler(thresholding=True), 10, 1.0)
    with pytest.raises(ConfigError, match="trained with 1000 timesteps"):
        Schedule.of(DDIMScheduler(), 1001, 1.0)


def test_transitions_concatenate():
    part = Transitions(
        torch.zeros(2, 1, dtype=torch.long),
        torch.randn(2, 1, 1, 2, 2),
        torch.randn(2, 1, 1, 2, 2),
        torch.randn(2, 1),
    )
    both = Transitions.concatenate([part, part[[1]]])
    assert len(both) == 3
    assert torch.equal(both.z_t[2], part.z_t[1])
