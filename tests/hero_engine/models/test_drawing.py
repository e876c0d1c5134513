"""How a drawing is split changes nothing in runs of format 2: each row has its own stream."""

import pytest
import torch

from hero_engine.diffusion import sampling
from hero_engine.methods.hero import Hero
from hero_engine.models.drawing import Streams, draw
from hero_engine.models.policy import Policy
from hero_engine.models.schedulers import SCHEDULERS
from hero_engine.report import Progress
from hero_engine.streams import row_streams

SIZES = (1, 3, 8)
STREAMS = Streams(3, 0, "sampling")


@pytest.fixture
def policies(make_config, monkeypatch):
    """Of each batch size, a model whose network answers each row by itself, to the last bit."""

    def create(**fields):
        made = [Policy(make_config(sample_batch_size=size, **fields)) for size in SIZES]
        for policy in made:
            monkeypatch.setattr(
                policy, "denoiser", lambda _: lambda z_t, t: 0.3 * z_t + t.view(-1, 1, 1, 1) / 1e3
            )
        return made

    return create


def noises_of(policy, n=8):
    return torch.randn(n, *policy.latent_shape, generator=torch.Generator().manual_seed(0))


def drawn_noises(monkeypatch):
    """The noises of the steps to come, by row: [batch step ...] once they are put together."""
    seen = []
    randn = sampling.randn_tensor

    def spy(*args, **options):
        seen.append(randn(*args, **options))
        return seen[-1]

    monkeypatch.setattr(sampling, "randn_tensor", spy)
    return seen


def test_no_latent_and_no_transition_depends_on_the_batch_size(policies):
    steps = torch.tensor([[0, 2], [1, 3], [2, 3], [0, 1]] * 2)
    drawn = [
        draw(policy, noises_of(policy), STREAMS, prompt="a rose", trained_steps=steps)
        for policy in policies()
    ]
    for other in drawn[1:]:
        assert torch.equal(other.latents, drawn[0].latents)
        for name, tensor in vars(drawn[0].transitions).items():
            assert torch.equal(getattr(other.transitions, name), tensor), name
        assert [i.tobytes() for i in other.images] == [i.tobytes() for i in drawn[0].images]


def test_in_format_1_they_did(policies):
    one, three, eight = (
        draw(policy, noises_of(policy), STREAMS, prompt="a rose", decode=False).latents
        for policy in policies(format=1)
    )
    assert not torch.equal(one, three)
    assert not torch.equal(three[:3], eight[:3])


def test_a_network_sees_the_same_noises_and_rounds_as_it_does(make_config, monkeypatch):
    batches, noises = [], []
    for size in SIZES:
        seen = drawn_noises(monkeypatch)
        batches.append(Hero.create(make_config(sample_batch_size=size)).generate())
        monkeypatch.undo()
        parts = [torch.stack(seen[i : i + 4], dim=1) for i in range(0, len(seen), 4)]
        noises.append(torch.cat(parts))
    for batch, drawn in zip(batches[1:], noises[1:], strict=True):
        assert torch.equal(drawn, noises[0])
        assert torch.equal(batch.noises, batches[0].noises)
        assert torch.equal(batch.transitions.steps, batches[0].transitions.steps)
        # its rounding of some 1e-7, which the first step divides by a small sqrt_alpha
        torch.testing.assert_close(batch.latents, batches[0].latents, atol=5e-5, rtol=1e-5)
        torch.testing.assert_close(
            batch.transitions.log_prob, batches[0].transitions.log_prob, atol=2e-6, rtol=0
        )


def test_rows_have_the_latents_that_diffusers_makes_with_a_generator_each(make_config):
    policy = Policy(make_config(sample_batch_size=3))
    noises = noises_of(policy, 3)
    ours = draw(policy, noises, STREAMS, prompt="a rose", decode=False).latents
    sampler = policy.config.sampling
    theirs = policy.pipe(
        "a rose",
        num_images_per_prompt=3,
        latents=noises,
        generator=row_streams(3, 0, "sampling", range(3)),
        eta=1.0,
        guidance_scale=sampler.guidance_scale,
        num_inference_steps=sampler.num_inference_steps,
        output_type="latent",
    ).images
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_other_samplers_too(make_config, scheduler):
    one, three, eight = (
        draw(policy, noises_of(policy), STREAMS, prompt="a rose", scheduler=scheduler, decode=False)
        for policy in (Policy(make_config(sample_batch_size=size)) for size in SIZES)
    )
    assert one.transitions is None
    for other in (three, eight):
        torch.testing.assert_close(other.latents, one.latents, atol=1e-4, rtol=1e-4)


def test_more_samples_begin_with_the_same_ones(hero):
    few, many = (hero.sample(n, seed=1) for n in (3, 6))
    assert torch.equal(few.noises, many.noises[:3])
    assert torch.equal(few.latents, many.latents[:3])


def test_images_are_handed_on_as_they_are_decoded_and_progress_is_of_all_parts(policies):
    policy = policies()[1]
    told = []
    draw(
        policy,
        noises_of(policy, 5),
        STREAMS,
        prompt="a rose",
        stage="prior",
        on_image=lambda index, _: told.append(index),
        on_progress=told.append,
    )
    steps = [Progress("prior", done, 8) for done in range(1, 9)]
    assert told == [*steps[:4], 0, 1, 2, *steps[4:], 3, 4]
