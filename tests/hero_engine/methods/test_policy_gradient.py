import math

import pytest
import torch

from hero_engine.diffusion.sampling import Transitions, draw_trained_steps, sample
from hero_engine.errors import RatioError
from hero_engine.methods import policy_gradient
from hero_engine.models.policy import Policy


@pytest.fixture
def config(make_config):
    return make_config(num_inference_steps=6, trained_steps=3)


@pytest.fixture
def policy(config):
    policy = Policy(config)
    torch.manual_seed(1)
    for parameter in policy.parameters:
        torch.nn.init.normal_(parameter, std=0.1)
    return policy


@pytest.fixture
def settings(config):
    return config.method


@pytest.fixture
def transitions(policy):
    noises = torch.randn(8, *policy.latent_shape, generator=torch.Generator().manual_seed(0))
    schedule = policy.schedule
    steps = draw_trained_steps(schedule, 8, 3, "random", torch.Generator().manual_seed(1))
    denoise = policy.denoiser(policy.config.prompt)
    return sample(denoise, schedule, noises, torch.Generator().manual_seed(2), steps)[1]


ADVANTAGES = torch.tensor([1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 0.1, -0.1])


def make_optimizer(policy, **options):
    return torch.optim.AdamW(policy.parameters, **{"lr": 1e-3, **options})


def update(policy, settings, transitions, optimizer=None, **options):
    options = {"max_grad_norm": 1.0, **options}
    return policy_gradient.update(
        policy.denoiser(policy.config.prompt),
        policy.schedule,
        optimizer or make_optimizer(policy),
        transitions,
        ADVANTAGES,
        settings,
        generator=torch.Generator().manual_seed(0),
        **options,
    )


def gradients(policy, transitions, forward_batch_size):
    for parameter in policy.parameters:
        parameter.grad = None
    policy_gradient.accumulate_gradient(
        policy.denoiser(policy.config.prompt),
        policy.schedule,
        transitions,
        ADVANTAGES,
        policy.parameters,
        clip_range=1.0,
        forward_batch_size=forward_batch_size,
    )
    return torch.cat([parameter.grad.flatten() for parameter in policy.parameters])


def log_probs(policy, transitions):
    with torch.no_grad():
        return policy_gradient.pair_log_probs(
            policy.denoiser(policy.config.prompt),
            policy.schedule,
            policy_gradient.flatten_pairs(transitions),
            policy.device,
        )


def test_clip_range_is_rescaled_to_the_latents_size():
    assert policy_gradient.scaled_clip_range(1e-4, 4 * 64 * 64) == 1e-4
    assert policy_gradient.scaled_clip_range(1e-4, 4 * 16 * 16) == pytest.approx(1.6e-3)


def test_clipping_allows_the_same_policy_change_for_every_latent_size():
    change = 0.8
    for size in (64, 1024, 16384):
        log_ratio = math.log1p(policy_gradient.scaled_clip_range(1e-4, size)) * size
        assert log_ratio == pytest.approx(2 * change, rel=0.05)


def test_losses_by_hand():
    ratios = torch.tensor([1.0, 1.05, 1.5, 0.5, 1.5, 0.5])
    advantages = torch.tensor([2.0, 2.0, 2.0, 2.0, -1.0, -1.0])
    losses, ratio = policy_gradient.clipped_losses(ratios.log(), torch.zeros(6), advantages, 0.1)
    torch.testing.assert_close(ratio, ratios)
    torch.testing.assert_close(losses, torch.tensor([-2.0, -2.1, -2.2, -1.0, 1.5, 0.9]))


def test_gradient_is_that_of_equation_2_inside_the_clip_and_zero_outside():
    log_p = torch.tensor([0.05, 0.5, -0.5, -0.5, 0.5], requires_grad=True)
    advantages = torch.tensor([3.0, 3.0, 3.0, -3.0, -3.0])
    losses, ratio = policy_gradient.clipped_losses(log_p, torch.zeros(5), advantages, 0.1)
    losses.sum().backward()
    followed = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0])
    torch.testing.assert_close(log_p.grad, -(ratio * advantages * followed).detach())


def test_gradient_agrees_with_finite_differences(policy, transitions):
    denoise, schedule = policy.denoiser(policy.config.prompt), policy.schedule
    pairs = next(policy_gradient.flatten_pairs(transitions).split(4))
    parameter = policy.parameters[5]
    policy_gradient.pair_log_probs(denoise, schedule, pairs, policy.device).sum().backward()
    direction = parameter.grad / parameter.grad.norm()
    slope = float((parameter.grad * direction).sum())
    values = []
    for step in (1e-2, -1e-2):
        with torch.no_grad():
            parameter += step * direction
            value = policy_gradient.pair_log_probs(denoise, schedule, pairs, policy.device)
            values.append(float(value.double().sum()))
            parameter -= step * direction
    assert (values[0] - values[1]) / 2e-2 == pytest.approx(slope, rel=0.02)


@pytest.mark.parametrize("forward_batch_size", [2, 5, 24, 100])
def test_gradient_does_not_depend_on_the_forward_batch(policy, transitions, forward_batch_size):
    one_at_a_time = gradients(policy, transitions, 1)
    batched = gradients(policy, transitions, forward_batch_size)
    assert one_at_a_time.norm() > 0
    assert (batched - one_at_a_time).abs().max() / one_at_a_time.abs().max() < 1e-4


def test_log_probs_of_the_sampler_are_those_of_the_update(policy, transitions):
    new = log_probs(policy, transitions)
    torch.testing.assert_close(new, transitions.log_prob.flatten(), atol=2e-6, rtol=0)


def test_update_raises_the_probability_of_good_steps_and_lowers_that_of_bad(
    policy, settings, transitions
):
    before = log_probs(policy, transitions)
    stats = update(policy, settings.model_copy(update={"inner_epochs": 3}), transitions)
    change = (log_probs(policy, transitions) - before).view(8, 3).mean(dim=1)
    assert float(change[ADVANTAGES >= 1].mean()) > 0 > float(change[ADVANTAGES <= -1].mean())
    assert stats.ratio_error < 1e-5
    assert 0 <= stats.clip_fraction <= 1
    assert stats.approx_kl > 0


def test_clipping_bounds_how_far_a_policy_goes(policy, settings, transitions):
    wide, narrow = (
        settings.model_copy(update={"inner_epochs": 6, "clip_range": clip, "learning_rate": 1e-3})
        for clip in (1.0, 1e-9)
    )
    start = policy.lora_state()
    kl = []
    for limits in (wide, narrow):
        policy.load_lora_state(start)
        kl.append(update(policy, limits, transitions, recompute_old=True).approx_kl)
    assert kl[1] < 0.5 * kl[0]


def test_gradients_are_scaled_down_to_the_largest_norm(policy, settings, transitions):
    optimizer = torch.optim.SGD(policy.parameters, lr=1.0)
    limited = settings.model_copy(update={"minibatch_size": 8, "learning_rate": 1.0})
    before = torch.cat([p.detach().flatten() for p in policy.parameters])
    stats = update(policy, limited, transitions, optimizer, max_grad_norm=1e-4)
    after = torch.cat([p.detach().flatten() for p in policy.parameters])
    assert stats.grad_norm > 1e-4
    assert (after - before).norm().item() == pytest.approx(1e-4, rel=0.02)


def test_an_update_from_another_policy_is_refused_and_changes_nothing(
    policy, settings, transitions
):
    shifted = Transitions(**{**vars(transitions), "log_prob": transitions.log_prob + 1e-4})
    before = policy.lora_state()
    with pytest.raises(RatioError, match=r"differs from 1 by 1\.0e-04"):
        update(policy, settings, shifted)
    after = policy.lora_state()
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("clip_range", "allowed"), [(1e-2, 1e-5), (1e-4, 1e-5), (2e-5, 2e-6), (1e-6, 1e-7)]
)
def test_a_ratio_may_differ_from_one_by_a_tenth_of_the_clip_but_no_more_than_1e_5(
    clip_range, allowed
):
    def log_ratios(error):
        return torch.tensor([0.0, 1 + error, 1.0], dtype=torch.float64)[1:].log()

    policy_gradient.check_ratio(log_ratios(0.9 * allowed), clip_range)
    for error in (1.1 * allowed, -1.1 * allowed, float("nan")):
        with pytest.raises(RatioError, match=f"allowed is {allowed:.0e}"):
            policy_gradient.check_ratio(log_ratios(error), clip_range)


def test_the_tolerance_is_that_of_the_rescaled_clip(policy, settings, transitions):
    shifted = Transitions(**{**vars(transitions), "log_prob": transitions.log_prob + 4e-6})
    # 4 x 8 x 8 latents: 64 times the clip that is stated for 4 x 64 x 64
    narrow = settings.model_copy(update={"clip_range": 1e-5 / 64})
    with pytest.raises(RatioError, match="allowed is 1e-06"):
        update(policy, narrow, shifted)
    assert update(policy, settings, shifted).ratio_error == pytest.approx(4e-6, abs=2e-6)


def test_old_log_probs_of_another_precision_are_recomputed(policy, settings, transitions):
    half = Transitions(**{**vars(transitions), "log_prob": transitions.log_prob + 2e-3})
    stats = update(policy, settings, half, recompute_old=True)
    assert stats.ratio_error == 0


def test_minibatches_cover_every_image_once_an_inner_epoch(policy, settings, transitions):
    steps = []
    update(
        policy,
        settings.model_copy(update={"inner_epochs": 2, "minibatch_size": 3}),
        transitions,
        on_step=lambda total: lambda done: steps.append((done, total)),
    )
    assert steps == [(done, 6) for done in range(1, 7)]
