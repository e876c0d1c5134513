import threading

import pytest
import torch

from hero_engine.methods.base import Method
from hero_engine.models import halves
from hero_engine.models.policy import Policy
from hero_engine.storage.batch import Feedback
from tests.hero_engine.tiny import MAKERS

FEEDBACK = Feedback((True, False) * 4, best=0)


@pytest.fixture
def two_cores():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def create(two_cores, make_config):
    def create(**fields):
        policy = Policy(make_config(**fields))
        torch.manual_seed(0)
        for parameter in policy.parameters:
            torch.nn.init.normal_(parameter, std=0.2)
        return policy

    return create


def whole(policy):
    """The same without halves."""
    policy._halves = None
    return policy


def found(policy, z_t, *, guided=True):
    """What the network gives for some latents, and the gradient of its square."""
    timesteps = policy.schedule.timesteps[:1].expand(len(z_t))
    made = policy.denoiser("one rose", guided=guided)(z_t, timesteps)
    policy.network.zero_grad()
    made.square().mean().backward()
    return made.detach(), [p.grad.clone() for p in policy.parameters if p.grad is not None]


@pytest.mark.parametrize("family", MAKERS)
def test_halves_give_what_the_whole_gives(create, pipelines, family):
    policy = create(model=str(pipelines[family]))
    z_t = torch.randn(5, *policy.latent_shape, generator=torch.Generator().manual_seed(2))
    made, gradients = found(policy, z_t)
    again, same_gradients = found(policy, z_t)
    assert torch.equal(made, again)
    assert all(map(torch.equal, gradients, same_gradients))
    expected, expected_gradients = found(whole(policy), z_t)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=5e-6 * float(expected.abs().max()))
    assert len(gradients) == len(expected_gradients) > 0
    for one, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * float(other.abs().max()))


def test_each_half_is_drawn_in_a_thread_of_its_own(create):
    policy, seen = create(), []

    def note(_, given):
        said = len(given[0]), torch.get_num_threads(), torch.is_grad_enabled()
        seen.append((*said, threading.current_thread().name))

    policy.network.register_forward_pre_hook(note)
    z_t, timesteps = torch.randn(5, *policy.latent_shape), torch.full((5,), 500)
    denoise = policy.denoiser("one rose", guided=False)
    with torch.no_grad():
        denoise(z_t, timesteps)
    assert sorted(each[:3] for each in seen) == [(2, 1, False), (3, 1, False)]
    assert {name for *_, name in seen} == {"half_0", "half_1"}
    seen.clear()
    denoise(z_t[:1], timesteps[:1])
    assert seen == [(1, 2, True, threading.current_thread().name)]


def test_later_threads_begin_with_all_cores(create):
    create()
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [2]
    assert torch.get_num_threads() == 2


def test_both_halves_are_drawn_without_the_lora_where_it_is_off(create):
    policy = create()
    z_t, timesteps = torch.randn(4, *policy.latent_shape), torch.full((4,), 500)
    with torch.no_grad(), policy.pretrained():
        made = policy.denoiser("one rose")(z_t, timesteps)
        torch.testing.assert_close(made, whole(policy).denoiser("one rose")(z_t, timesteps))


def test_what_fails_in_a_half_is_raised(create):
    policy = create()

    def fail(*_):
        raise ValueError("no such layer")

    policy.network.register_forward_pre_hook(fail)
    with pytest.raises(ValueError, match="no such layer"):
        found(policy, torch.randn(4, *policy.latent_shape))


@pytest.mark.parametrize("why", ["one core", "format 1", "large"])
def test_where_halves_do_not_pay_there_are_none(create, monkeypatch, why):
    assert create()._halves is not None
    if why == "one core":
        torch.set_num_threads(1)
    if why == "large":
        monkeypatch.setattr(halves, "LARGEST", 1000)
    assert create(**({"format": 1} if why == "format 1" else {}))._halves is None


@pytest.mark.parametrize("method", ["hero", "hero+", "d3po"])
def test_a_stopped_run_ends_as_one_that_was_not(two_cores, make_config, tmp_path, method):
    def learned(run):
        run.learn(run.generate(), FEEDBACK)
        return run

    small = {"denoising_steps": 3} if method == "hero+" else {"trained_steps": 2}
    through = learned(Method.create(make_config(method=method, **small)))
    through.save(tmp_path)
    one, other = (learned(run)._tensors() for run in (through, Method.resume(tmp_path)))
    for file, tensors in one.items():
        assert all(torch.equal(tensor, other[file][name]) for name, tensor in tensors.items())
