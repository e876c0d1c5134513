"""The scheduler is the model's: as DDIM it says of z_0 what the model's own class says, and draws
what the model's own pipeline draws."""

import json

import diffusers
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

from hero_engine.config import ModelSettings, SamplingSettings
from hero_engine.diffusion.ddim import ddim_schedule
from hero_engine.errors import UnsupportedModel
from hero_engine.models.loading import Found
from hero_engine.models.policy import Policy, load_family
from hero_engine.models.scheduler_classes import CONVERTIBLE
from hero_engine.models.schedulers import SCHEDULERS, as_ddim, other_sampler
from hero_engine.models.stable_diffusion import StableDiffusion
from tests.hero_engine.tiny import save_pipeline

BETAS = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}
NEEDS_TORCHSDE = "DPMSolverSDEScheduler"
CLASSES = sorted({"DDIMScheduler", *CONVERTIBLE} - {NEEDS_TORCHSDE})
CLIPPED = {"DDIMScheduler", "DDPMScheduler", "DDPMParallelScheduler"}
"""Classes that themselves clip clean latents, unless they are told not to."""
STOCHASTIC = {
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "EulerAncestralDiscreteScheduler",
}
"""Whose steps are DDIM's with eta 1, noise by noise."""
OWN_NOISE = {"KDPM2AncestralDiscreteScheduler", "SASolverScheduler", "LCMScheduler", "TCDScheduler"}
"""Whose steps are those of no eta."""
NO_CLEAN = {"PNDMScheduler", "TCDScheduler"}
"""Whose steps never say what they take for clean latents; PNDM's image is compared."""
DETERMINISTIC = sorted(set(CLASSES) - STOCHASTIC - OWN_NOISE)
STEPS = 50


def own_scheduler(name, **config):
    return getattr(diffusers, name).from_config({**BETAS, **config})


def test_every_class_that_diffusers_takes_for_such_a_model_is_known():
    known = {"DDIMScheduler", "DDIMParallelScheduler", *CONVERTIBLE}
    assert {each.name for each in KarrasDiffusionSchedulers} - known == {"EDMEulerScheduler"}


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", sorted(set(CLASSES) - NO_CLEAN))
def test_the_first_prediction_is_that_of_the_models_own_class(name, prediction_type):
    config = {**BETAS, "prediction_type": prediction_type}
    own = own_scheduler(name, prediction_type=prediction_type)
    ddim = as_ddim({"_class_name": name, **config})
    own.set_timesteps(20)
    generator = torch.Generator().manual_seed(0)
    z_t, prediction = (torch.randn(2, 4, 8, 8, generator=generator) for _ in range(2))
    t = own.timesteps[0]
    timestep = int(t.round())
    assert torch.equal(own.alphas_cumprod, ddim.alphas_cumprod)
    ddim.set_timesteps(20)
    ours = ddim.step(prediction, timestep, z_t).pred_original_sample
    # Classes in sigma's coordinates are given z_t / sqrt(alpha), and make z_t of it.
    scale = (1 / own.alphas_cumprod[timestep]) ** 0.5
    sample = z_t * scale
    if torch.allclose(own.scale_model_input(sample, t), sample):
        sample = z_t
    theirs = clean_by(own, prediction, t, sample)
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=2e-3)
    assert (ours.abs().max() <= 1) == (name in CLIPPED)


def clean_by(own, prediction, t, sample):
    """What a scheduler takes z_0 for, in its first step."""
    if hasattr(own, "convert_model_output"):
        own._init_step_index(t)
        converted = own.convert_model_output(prediction, sample=sample)
        if own.config.get("algorithm_type") != "deis":
            return converted
        alpha = own.alphas_cumprod[int(t)]
        return (sample - (1 - alpha) ** 0.5 * converted) / alpha**0.5
    if hasattr(own, "derivatives"):
        own.step(prediction, t, sample)
        return sample - own.sigmas[0] * own.derivatives[-1]
    step = own.step(prediction, t, sample)
    return step.denoised if hasattr(step, "denoised") else step.pred_original_sample


@pytest.fixture(scope="module")
def pipe(pipeline):
    pipe = StableDiffusionPipeline.from_pretrained(pipeline)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def noises():
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def drawn(pipe, scheduler, noises, eta=0.0):
    pipe.scheduler = scheduler
    return pipe(
        "one rose",
        num_images_per_prompt=len(noises),
        latents=noises.clone(),
        num_inference_steps=STEPS,
        guidance_scale=2.0,
        eta=eta,
        generator=torch.Generator().manual_seed(5),
        output_type="latent",
    ).images


def distance(one, other):
    return ((one - other).square().mean() / other.square().mean()).sqrt().item()


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", [*DETERMINISTIC, *sorted(STOCHASTIC)])
def test_the_image_is_that_of_the_models_own_pipeline(pipe, noises, name, prediction_type):
    config = {"prediction_type": prediction_type}
    if name in CLIPPED:
        config["clip_sample"] = False
    own = own_scheduler(name, **config)
    theirs = drawn(pipe, own, noises)
    config = {"_class_name": name, **BETAS, **config}
    eta = float(name in STOCHASTIC)
    near = distance(drawn(pipe, as_ddim(config), noises, eta), theirs)
    filled_in = distance(drawn(pipe, DDIMScheduler.from_config(own.config), noises, eta), theirs)
    assert near < 0.1
    if name not in CLIPPED:
        assert filled_in > 0.4


def test_what_the_file_says_is_kept():
    said = {
        "_class_name": "EulerDiscreteScheduler",
        **BETAS,
        "clip_sample": True,
        "clip_sample_range": 3.0,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "prediction_type": "v_prediction",
    }
    made = as_ddim(said).config
    assert {key: made[key] for key in said if key != "_class_name"} == {
        key: value for key, value in said.items() if key != "_class_name"
    }
    betas = [0.001 * n for n in range(1, 11)]
    trained = {"_class_name": "LMSDiscreteScheduler", "trained_betas": betas}
    ddim = as_ddim({**trained, "num_train_timesteps": 10})
    torch.testing.assert_close(ddim.betas, torch.tensor(betas))


def test_a_ddim_file_means_what_diffusers_takes_it_for():
    for config in ({}, {"_class_name": "DDIMScheduler", **BETAS, "timestep_spacing": "linspace"}):
        assert dict(as_ddim(config).config) == dict(DDIMScheduler.from_config(config).config)


def test_the_index_decides_where_it_and_the_configuration_name_two_classes(tmp_path):
    """diffusers goes by the index, and so do what is known of a model and the model itself."""
    folder = save_pipeline(tmp_path / "model")
    written = folder / "scheduler" / "scheduler_config.json"
    fields = {**BETAS, "_class_name": "DDIMScheduler"}  # whose clipping is not said
    written.write_text(json.dumps(fields))
    index = folder / "model_index.json"
    said = {**json.loads(index.read_text()), "scheduler": ["diffusers", "EulerDiscreteScheduler"]}
    index.write_text(json.dumps(said))
    own = StableDiffusionPipeline.from_pretrained(folder)
    assert type(own.scheduler) is EulerDiscreteScheduler

    model = ModelSettings(name=str(folder))
    known = Found(model).schedule(SamplingSettings(num_inference_steps=5))
    family = load_family(model)
    assert known.clip_sample_range is None
    assert family.schedule(5, 1.0).clip_sample_range is None
    assert torch.equal(known.std, family.schedule(5, 1.0).std)


@pytest.mark.parametrize("name", ["EDMEulerScheduler", "FlowMatchEulerDiscreteScheduler", "Odd"])
def test_another_process_is_refused(name):
    with pytest.raises(UnsupportedModel, match=f"The model's scheduler is {name}"):
        as_ddim({"_class_name": name, **BETAS})


@pytest.mark.parametrize("name", SCHEDULERS)
def test_other_samplers_do_not_clip_either(name):
    sampler = other_sampler(name, as_ddim({"_class_name": "EulerDiscreteScheduler", **BETAS}))
    assert not sampler.config.get("clip_sample", False)
    assert sampler.config.prediction_type == "epsilon"


ZERO_SNR = {
    **BETAS,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
}


@pytest.mark.parametrize("name", ["DDIMScheduler", "EulerDiscreteScheduler"])
@pytest.mark.parametrize("steps", [2, 15, 20, 30, 40, 50])
def test_sampling_from_pure_noise_is_finite(name, steps):
    schedule = ddim_schedule(as_ddim({"_class_name": name, **ZERO_SNR}), steps, 1.0)
    assert schedule.sqrt_alpha[0] == 0
    z_t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for step in range(steps):
        mean, std = schedule.step_distribution(0.1 * z_t, torch.full((2,), step), z_t)
        z_t = mean + std * torch.randn_like(z_t)
        assert torch.isfinite(z_t).all()


def test_pure_noise_is_noised_and_learned_from(pipeline, monkeypatch):
    family = StableDiffusion.load(str(pipeline))
    family.pipe.scheduler = as_ddim(ZERO_SNR)
    process = family.forward_process(family.schedule(4, 1.0))
    part = process.noised(torch.randn(4000, 1, 2, 2), torch.Generator().manual_seed(0))
    assert int(part.timesteps.max()) == 999
    only = process.noise_only(torch.randn(8, 1, 2, 2), torch.Generator().manual_seed(0))
    for each in (part, only):
        for tensor in (each.z_t, each.target, each.v_weight):
            assert torch.isfinite(tensor).all()


def test_the_noise_says_nothing_of_an_image_in_pure_noise():
    scheduler = as_ddim({**ZERO_SNR, "prediction_type": "epsilon"})
    with pytest.raises(UnsupportedModel, match="ends in pure noise"):
        ddim_schedule(scheduler, 20, 1.0)


def test_a_run_of_format_1_keeps_diffusers_conversion(tmp_path, make_config):
    folder = save_pipeline(tmp_path / "euler")
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    pipe.scheduler = EulerDiscreteScheduler(beta_schedule="scaled_linear")
    pipe.save_pretrained(folder)
    euler = EulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
    earlier, now = (Policy(make_config(model=str(folder), format=f)).schedule for f in (1, 2))
    theirs = ddim_schedule(DDIMScheduler.from_config(euler.config), len(now), 1.0)
    assert torch.equal(earlier.std, theirs.std) and torch.equal(earlier.timesteps, theirs.timesteps)
    assert (earlier.clip_sample_range, now.clip_sample_range) == (1.0, None)
