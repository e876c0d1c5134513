import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from hero_engine.diffusion.flow import FlowMatching, dynamic_shift, flow_schedule
from hero_engine.diffusion.kernel import log_prob
from hero_engine.diffusion.sampling import sample
from hero_engine.errors import ConfigError, UnsupportedModel

DYNAMIC = {"shift": 3.0, "use_dynamic_shifting": True}
SCHEDULERS = {
    "SD3": {"shift": 3.0},
    "no shift": {},
    "FLUX dev": DYNAMIC,
    "linear": {**DYNAMIC, "time_shift_type": "linear"},
    "terminal": {"shift": 3.0, "shift_terminal": 0.02},
    "karras": {"shift": 3.0, "use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
}


def schedule_of(options, steps=10, eta=1.0, sigmas=None):
    scheduler = FlowMatchEulerDiscreteScheduler(**options)
    return flow_schedule(scheduler, steps, eta, dynamic_shift(scheduler, 4096), sigmas)


def latents(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_steps_by_hand(eta):
    schedule = schedule_of({"shift": 3.0}, steps=5, eta=eta)
    z_t, velocity, z_prev = latents(3, 5, 2, 4, 4)
    for step in range(4):
        sigma = float(schedule.timesteps[step]) / 1000
        after = float(schedule.timesteps[step + 1]) / 1000
        # the deviation that leaves z' with the marginal of the path: DDIM's Eq. 16
        std = eta * after / sigma * math.sqrt(sigma**2 - ((1 - sigma) / (1 - after) * after) ** 2)
        z_0, epsilon = z_t - sigma * velocity, z_t + (1 - sigma) * velocity
        mean = (1 - after) * z_0 + math.sqrt(max(after**2 - std**2, 0.0)) * epsilon
        ours, deviation = schedule.step_distribution(velocity, torch.full((5,), step), z_t)
        torch.testing.assert_close(ours, mean, atol=1e-5, rtol=1e-5)
        assert deviation.flatten().tolist() == pytest.approx([std] * 5, rel=1e-5)
        expected = torch.distributions.Normal(mean, std).log_prob(z_prev).mean(dim=(1, 2, 3))
        torch.testing.assert_close(
            log_prob(z_prev, ours, deviation), expected, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("options", SCHEDULERS.values(), ids=SCHEDULERS)
def test_without_noise_it_is_the_schedulers_own_ode(options):
    scheduler = FlowMatchEulerDiscreteScheduler(**options)
    mu = dynamic_shift(scheduler, 1024)
    schedule = flow_schedule(scheduler, 8, 0.0, mu)
    assert (schedule.std == 0).all()
    noises = latents(3, 4, 4, 4)

    def velocity(z_t, timesteps):
        return torch.tanh(z_t) * (1 + timesteps.view(-1, 1, 1, 1) / 1000)

    ours, _ = sample(velocity, schedule, noises, torch.Generator())
    theirs = noises
    scheduler.set_timesteps(8, mu=mu)
    for timestep in scheduler.timesteps:
        prediction = velocity(theirs, timestep.expand(3))
        theirs = scheduler.step(prediction, timestep, theirs).prev_sample
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", SCHEDULERS.values(), ids=SCHEDULERS)
@pytest.mark.parametrize("steps", [2, 50])
@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_every_step_but_the_last_has_noise(options, steps, eta):
    schedule = schedule_of(options, steps, eta)
    assert schedule.trainable.tolist() == list(range(steps - 1))
    assert schedule.std[-1] == 0
    assert schedule.sqrt_beta[0] == pytest.approx(1, abs=1e-3)
    kept = schedule.direction**2 + schedule.std**2
    torch.testing.assert_close(kept[:-1], schedule.sqrt_beta[1:] ** 2, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(schedule.sqrt_alpha + schedule.sqrt_beta, torch.ones(steps))


def test_one_step_has_no_noise():
    schedule = schedule_of({"shift": 3.0}, 1)
    assert (len(schedule), len(schedule.trainable)) == (1, 0)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_noise_levels_that_do_not_fall_are_refused():
    with pytest.raises(
        ConfigError, match=r"no falling noise levels for 1 steps \(nan, 0\.? \.\.\.\)"
    ):
        schedule_of(SCHEDULERS["terminal"], 1)


def test_noise_levels_of_the_pipeline_take_the_models_shift():
    schedule = schedule_of(DYNAMIC, 4, sigmas=[1.0, 0.75, 0.5, 0.25])
    shift = math.exp(1.15)
    shifted = [shift / (shift + 1 / sigma - 1) for sigma in (1.0, 0.75, 0.5, 0.25)]
    assert schedule.sqrt_beta.tolist() == pytest.approx(shifted)
    assert schedule.timesteps.tolist() == pytest.approx([1000 * sigma for sigma in shifted])


def test_the_dynamic_shift_grows_with_the_image():
    scheduler = FlowMatchEulerDiscreteScheduler(**DYNAMIC)
    shifts = [dynamic_shift(scheduler, tokens) for tokens in (256, 1024, 4096)]
    assert shifts == pytest.approx([0.5, 0.63, 1.15])
    assert dynamic_shift(FlowMatchEulerDiscreteScheduler(), 256) is None


@pytest.mark.parametrize("option", ["invert_sigmas", "stochastic_sampling"])
def test_options_that_give_other_steps_are_refused(option):
    with pytest.raises(UnsupportedModel, match=f"set {option} to false"):
        schedule_of({option: True})


def test_gradients_are_finite_where_sampling_begins():
    schedule = schedule_of({"shift": 3.0})
    assert schedule.sqrt_alpha[0] == 0
    z_t, z_prev = latents(2, 1, 2, 4, 4)
    velocity = latents(1, 2, 4, 4, seed=1).requires_grad_()
    mean, std = schedule.step_distribution(velocity, torch.tensor([0]), z_t)
    log_prob(z_prev, mean, std).sum().backward()
    assert velocity.grad.isfinite().all()
    assert velocity.grad.abs().sum() > 0


MODES = torch.tensor([-1.0, 1.0])
SPREAD = 0.3


def exact_velocity(z_t, timesteps):
    """That of two Gaussians: E[epsilon - z_0 | z_t]."""
    sigma = timesteps.view(-1, 1, 1, 1) / 1000
    variance = (1 - sigma) ** 2 * SPREAD**2 + sigma**2
    error = z_t[..., None] - (1 - sigma[..., None]) * MODES
    share = (-0.5 * error**2 / variance[..., None]).softmax(dim=-1)
    z_0 = MODES + ((1 - sigma) * SPREAD**2 / variance)[..., None] * error
    epsilon = (sigma / variance)[..., None] * error
    return (share * (epsilon - z_0)).sum(dim=-1)


@pytest.mark.parametrize(
    ("steps", "eta", "spread"),
    [(10, 0.0, 0.307), (10, 0.5, 0.309), (10, 1.0, 0.317), (50, 0.5, 0.287), (50, 1.0, 0.267)],
)
def test_two_gaussians_are_drawn_as_they_are(steps, eta, spread):
    schedule = schedule_of({"shift": 3.0}, steps, eta)
    noises = latents(1, 1, 100, 200)
    drawn, _ = sample(exact_velocity, schedule, noises, torch.Generator().manual_seed(1))
    inside = torch.where(drawn > 0, drawn - 1, drawn + 1)
    assert inside.std() == pytest.approx(spread, abs=0.01)
    assert (drawn > 0).float().mean() == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize("density", ["logit-normal", "uniform"])
@pytest.mark.parametrize("options", [{"shift": 3.0}, DYNAMIC], ids=["fixed", "dynamic"])
def test_the_forward_process_is_the_straight_path_under_the_models_shift(options, density):
    scheduler = FlowMatchEulerDiscreteScheduler(**options)
    mu = dynamic_shift(scheduler, 4096)
    process = FlowMatching(scheduler, mu, density)
    z_0 = latents(4000, 1, 2, 2)
    part = process.noised(z_0, torch.Generator().manual_seed(1))
    sigma = part.timesteps / 1000
    assert sigma.min() > 0
    assert sigma.max() <= 1
    level = sigma.view(-1, 1, 1, 1)
    epsilon = (part.z_t - (1 - level) * z_0) / level
    torch.testing.assert_close(part.target, epsilon - z_0, atol=1e-2, rtol=1e-3)
    assert part.v_weight.tolist() == [1.0] * 4000
    shift = 3.0 if mu is None else math.exp(mu)
    before = sigma / (shift - (shift - 1) * sigma)
    if density == "uniform":
        assert before.mean() == pytest.approx(0.5, abs=0.02)
        assert before.std() == pytest.approx(12**-0.5, abs=0.01)
    else:
        assert before.logit().mean() == pytest.approx(0, abs=0.05)
        assert before.logit().std() == pytest.approx(1, abs=0.05)


def test_sampling_begins_from_noise_alone_and_the_target_leads_to_the_latent():
    process = FlowMatching(FlowMatchEulerDiscreteScheduler(shift=3.0), None)
    z_0 = 5 + latents(2000, 1, 2, 2)
    part = process.noise_only(z_0, torch.Generator().manual_seed(1))
    assert part.timesteps.tolist() == [1000.0] * 2000
    assert torch.corrcoef(torch.stack([part.z_t.flatten(), z_0.flatten()]))[0, 1].abs() < 0.05
    assert part.z_t.std() == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(part.z_t - part.target, z_0)


@pytest.mark.parametrize("density", ["logit-normal", "uniform"])
def test_a_part_of_the_levels_is_that_share_of_them(density):
    process = FlowMatching(FlowMatchEulerDiscreteScheduler(shift=3.0), None, density)
    z_0 = latents(4000, 1, 2, 2)
    every, cleaner, noisier = (
        process.noised(z_0, torch.Generator().manual_seed(1), levels).timesteps
        for levels in ((0.0, 1.0), (0.0, 0.25), (0.25, 1.0))
    )
    border = float(every.quantile(0.25))
    assert float(cleaner.max()) == pytest.approx(border, rel=0.05)
    assert float(noisier.min()) == pytest.approx(border, rel=0.05)
    assert float(noisier.median()) == pytest.approx(float(every.quantile(0.625)), rel=0.05)
