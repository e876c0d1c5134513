import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from hero_engine.diffusion.ddim import ddim_schedule
from hero_engine.diffusion.kernel import Schedule
from hero_engine.diffusion.sampling import Transitions, draw_trained_steps, sample
from hero_engine.errors import ConfigError
from hero_engine.methods.policy_gradient import flatten_pairs, pair_log_probs
from hero_engine.models.policy import Policy
from tests.hero_engine.tiny import save_pipeline


def draw(policy, noises, steps=None):
    return sample(
        policy.denoiser(policy.config.prompt),
        policy.schedule,
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
    ours, _ = draw(policy, noises)

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
        guidance_scale=config.sampling.guidance_scale,
        num_inference_steps=config.sampling.num_inference_steps,
        output_type="latent",
    ).images
    assert torch.equal(draw(policy, noises)[0], theirs)


def test_transitions_are_those_of_the_whole_trajectory(make_config):
    config = make_config(num_inference_steps=6)
    policy = Policy(config)
    noises = torch.randn(3, *policy.latent_shape)
    every = torch.arange(6).expand(3, 6)
    z_0, trajectory = draw(policy, noises, every)
    steps = torch.tensor([[0, 5], [1, 2], [3, 4]])
    same_z_0, kept = draw(policy, noises, steps)

    assert torch.equal(z_0, same_z_0)
    assert torch.equal(trajectory.z_t[:, 0], noises)
    assert torch.equal(trajectory.z_prev[:, -1], z_0)
    assert torch.equal(trajectory.z_prev[:, :-1], trajectory.z_t[:, 1:])
    rows = torch.arange(3)[:, None]
    for name in ("steps", "z_t", "z_prev"):
        assert torch.equal(getattr(kept, name), getattr(trajectory, name)[rows, steps])
    torch.testing.assert_close(kept.log_prob, trajectory.log_prob[rows, steps])


def test_kept_memory_does_not_grow_with_the_number_of_steps(make_config):
    sizes = []
    for number in (4, 12):
        config = make_config(num_inference_steps=number)
        policy = Policy(config)
        steps = draw_trained_steps(
            policy.schedule, 2, 2, "random", torch.Generator().manual_seed(0)
        )
        _, kept = draw(policy, torch.randn(2, *policy.latent_shape), steps)
        sizes.append(sum(tensor.numel() for tensor in vars(kept).values()))
    assert sizes[0] == sizes[1]


def test_a_step_without_noise_is_never_trained_and_log_probs_stay_finite(tmp_path, make_config):
    folder = save_pipeline(tmp_path / "pipeline", steps_offset=0, set_alpha_to_one=True)
    config = make_config(model=str(folder), num_inference_steps=4, trained_steps=3)
    policy = Policy(config)
    schedule = policy.schedule
    steps = draw_trained_steps(schedule, 5, 3, "random", torch.Generator().manual_seed(0))
    assert steps.max() == 2
    _, kept = draw(policy, torch.randn(5, *policy.latent_shape), steps)
    assert kept.log_prob.isfinite().all()
    with pytest.raises(ConfigError, match="only 3 of the 4 denoising steps"):
        draw_trained_steps(schedule, 5, 4, "last", torch.Generator())


def test_random_trained_steps_are_distinct_and_cover_all_steps():
    schedule = ddim_schedule(DDIMScheduler(steps_offset=1, set_alpha_to_one=False), 10, 1.0)
    steps = draw_trained_steps(schedule, 200, 4, "random", torch.Generator().manual_seed(1))
    assert (steps.diff(dim=1) > 0).all()
    counts = torch.bincount(steps.flatten(), minlength=10)
    assert counts.min() > 50
    assert counts.max() < 110


def test_last_trained_steps_end_at_the_clean_latents():
    schedule = ddim_schedule(DDIMScheduler(steps_offset=1, set_alpha_to_one=False), 10, 1.0)
    steps = draw_trained_steps(schedule, 2, 3, "last", torch.Generator())
    assert steps.tolist() == [[7, 8, 9], [7, 8, 9]]


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


def by_hand():
    """Four steps of which the network is told times between 0 and 1, as flow models have them."""
    columns = {
        "sqrt_alpha": [0.3, 0.5, 0.7, 0.9],
        "sqrt_beta": [0.95, 0.87, 0.71, 0.44],
        "sqrt_alpha_prev": [0.5, 0.7, 0.9, 1.0],
        "direction": [0.6, 0.5, 0.3, 0.0],
        "std": [0.5, 0.4, 0.2, 0.1],
    }
    return Schedule(
        torch.tensor([0.999, 0.75, 0.5, 0.25]),
        **{name: torch.tensor(column) for name, column in columns.items()},
        prediction_type="epsilon",
        clip_sample_range=None,
    )


def test_timesteps_need_not_be_whole_numbers():
    schedule, seen = by_hand(), []

    def denoise(z_t, timesteps):
        seen.append(timesteps.tolist())
        return z_t * timesteps.view(-1, 1, 1, 1)

    noises = torch.randn(2, 1, 2, 2)
    steps = torch.tensor([[0, 3], [1, 2]])
    z_0, kept = sample(denoise, schedule, noises, torch.Generator().manual_seed(0), steps)
    assert seen == [[pytest.approx(t)] * 2 for t in (0.999, 0.75, 0.5, 0.25)]
    assert torch.equal(kept.steps, steps)
    assert torch.equal(kept.z_t[0, 0], noises[0])
    assert torch.equal(kept.z_prev[0, 1], z_0[0])
    again = pair_log_probs(denoise, schedule, flatten_pairs(kept), torch.device("cpu"))
    assert seen[-1] == pytest.approx([0.999, 0.25, 0.75, 0.5])
    torch.testing.assert_close(again, kept.log_prob.flatten(), atol=1e-6, rtol=0)


def test_steps_are_known_by_their_number_even_where_the_network_is_told_the_same():
    schedule = by_hand()
    alike = Schedule(**{**vars(schedule), "timesteps": torch.full((4,), 0.5)})
    kept = [
        sample(
            lambda z_t, _: z_t, each, torch.ones(1, 1, 2, 2), torch.Generator().manual_seed(0), rows
        )[1]
        for each in (schedule, alike)
        for rows in [torch.tensor([[1, 3]])]
    ]
    assert torch.equal(kept[0].z_t, kept[1].z_t)
    assert torch.equal(kept[0].log_prob, kept[1].log_prob)
