"""SD3 and FLUX behind the interface, against diffusers' own pipelines."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline, StableDiffusion3Pipeline

from hero_engine.config import ModelSettings, SamplingSettings
from hero_engine.diffusion.sampling import sample
from hero_engine.errors import ConfigError, UnsupportedModel
from hero_engine.methods.check_run import check_run
from hero_engine.models import flux
from hero_engine.models.flux import Flux
from hero_engine.models.flux2 import Flux2Klein
from hero_engine.models.loading import Found, prompt_warnings
from hero_engine.models.names import resolve
from hero_engine.models.policy import Policy, load_family
from hero_engine.models.sd3 import StableDiffusion3
from tests.hero_engine.tiny import save_flux, save_flux2, save_sd3, save_z_image
from tests.hero_engine.tiny.flux import SCHNELL

CPU = torch.device("cpu")
KINDS = {
    "SD3": save_sd3,
    "SD3 without T5": partial(save_sd3, t5=False),
    "SD3 dynamic": partial(save_sd3, use_dynamic_shifting=True),
    "dev": save_flux,
    "schnell": partial(save_flux, guidance_embeds=False, **SCHNELL),
    "undistilled": partial(save_flux, guidance_embeds=False),
    "Z-Image": save_z_image,
    "klein": save_flux2,
    "klein of 4 steps": partial(save_flux2, is_distilled=True),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("flow")
    return {kind: make(root / kind) for kind, make in KINDS.items()}


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch):
    for family in (StableDiffusion3, Flux, Flux2Klein):
        monkeypatch.setattr(family, "max_sequence_length", 16)


def loaded(folder, **size):
    return load_family(ModelSettings(name=str(folder)), SamplingSettings(**size))


def noises_of(family, n=3):
    return torch.randn(n, *family.latent_shape, generator=torch.Generator().manual_seed(0))


def ode(family, prompt, negative, noises, guidance_scale, steps=5):
    condition = family.encode(prompt, negative, CPU)

    def denoise(z_t, timesteps):
        return family.predict(z_t, timesteps, condition, guidance_scale)

    return sample(denoise, family.schedule(steps, 0.0), noises, torch.Generator())[0]


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_the_images_are_those_of_the_models_own_pipeline(
    folders, kind, guidance_scale
):
    family = loaded(folders[kind])
    noises = noises_of(family)
    negative = "two cats" if guidance_scale > 1 else None
    ours = ode(family, "one rose", negative, noises, guidance_scale)
    arguments = family.call_arguments("one rose", "two cats", noises, guidance_scale)
    absent = {name: None for name in family.may_lack} if kind == "SD3 without T5" else {}
    own = type(family.pipe).from_pretrained(folders[kind], **absent)
    own.set_progress_bar_config(disable=True)
    theirs = family.spatial(own(**arguments, num_inference_steps=5).images)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    images = own(**{**arguments, "output_type": "pil"}, num_inference_steps=5).images
    for image, expected in zip(family.decode(theirs), images, strict=True):
        # the pipeline decodes all at once, which rounds differently
        assert np.abs(np.int16(image) - np.int16(expected)).max() <= 1


@pytest.mark.parametrize("kind", ["SD3", "SD3 dynamic", "dev", "Z-Image", "klein"])
def test_images_of_another_size_are_those_of_the_pipeline(folders, kind):
    family = loaded(folders[kind], height=16, width=24)
    noises = noises_of(family)
    assert noises.shape == (3, 4, 8, 12)
    arguments = family.call_arguments("one rose", "two cats", noises, 4.0)
    own = type(family.pipe).from_pretrained(folders[kind])
    theirs = family.spatial(own(**arguments, num_inference_steps=5).images)
    ours = ode(family, "one rose", "two cats", noises, 4.0)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert {image.size for image in family.decode(ours)} == {(24, 16)}


def test_sd3_has_places_for_so_many_pixels_only(folders):
    assert loaded(folders["SD3"], height=32, width=16).latent_shape == (4, 16, 8)
    with pytest.raises(ConfigError, match="set height and width to 32 or less"):
        loaded(folders["SD3"], height=36, width=16)


PROMPTS = [("one rose", None), ("two cats", None), ("one rose", "two cats")]


@pytest.mark.parametrize("kind", ["SD3", "undistilled", "Z-Image", "klein"])
def test_guidance_leads_away_from_the_negative_prompt(folders, kind):
    family = loaded(folders[kind])
    z_t, timesteps = noises_of(family, 2), torch.tensor([900.0, 300.0])
    with torch.no_grad():
        rose, cats, guided = (
            family.predict(z_t, timesteps, family.encode(prompt, negative, CPU), 3.0)
            for prompt, negative in [
                ("one rose", None),
                ("two cats", None),
                ("one rose", "two cats"),
            ]
        )
    assert not torch.allclose(rose, cats)
    torch.testing.assert_close(guided, cats + 3.0 * (rose - cats), atol=1e-5, rtol=1e-4)


def test_flux_dev_is_told_the_scale_and_takes_no_negative_prompt(folders):
    family = loaded(folders["dev"])
    z_t, timesteps = noises_of(family, 2), torch.tensor([900.0, 300.0])
    condition = family.encode("one rose", "two cats", CPU)
    assert condition.keys() == {"embeds", "pooled"}
    with torch.no_grad():
        one, four = (family.predict(z_t, timesteps, condition, scale) for scale in (1.0, 4.0))
    assert not torch.allclose(one, four)
    assert "negative_prompt" not in family.call_arguments("one rose", "two cats", z_t, 4.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schedule_is_known_without_weights(folders, kind, make_config):
    folder = folders[kind]
    config = make_config(model=str(folder), num_inference_steps=7)
    family = loaded(folder)
    family.pipe.scheduler.set_timesteps(3, mu=0.7)  # as a drawing leaves it
    known, schedule = Found(config.model).schedule(config.sampling), family.schedule(7, 1.0)
    for column in ("timesteps", "sqrt_alpha", "sqrt_beta", "sqrt_alpha_prev", "direction", "std"):
        assert torch.equal(getattr(known, column), getattr(schedule, column))
    assert known.prediction_type == "flow"
    process = family.forward_process(schedule)
    assert (process.mu is None) == (kind in ("SD3", "SD3 without T5", "schnell", "Z-Image"))


def test_shapes_of_the_true_models():
    medium = {
        "sample_size": 128,
        "in_channels": 16,
        "patch_size": 2,
        "pos_embed_max_size": 384,
    }
    assert StableDiffusion3.shape_of(medium, {}) == (16, 128, 128)
    assert StableDiffusion3.tokens_of(medium, (16, 128, 128)) == 4096
    dev, vae = (
        {"in_channels": 64},
        {"sample_size": 1024, "block_out_channels": [128, 256, 512, 512]},
    )
    assert Flux.shape_of(dev, vae) == (16, 128, 128)
    assert Flux.tokens_of(dev, (16, 128, 128)) == 4096


def test_packing_is_the_pipelines():
    latents = torch.randn(2, 4, 6, 8)
    packed = flux.packed(latents)
    assert torch.equal(packed, FluxPipeline._pack_latents(latents, 2, 4, 6, 8))
    assert torch.equal(flux.unpacked(packed, 6, 8), latents)
    ids = FluxPipeline._prepare_latent_image_ids(2, 3, 4, CPU, torch.float32)
    assert torch.equal(flux.image_ids(6, 8), ids)


SOLVERS = {
    "SD3": ["euler", "heun", "dpm++", "unipc"],
    "SD3 dynamic": ["euler", "dpm++", "unipc"],
    "dev": ["euler", "dpm++", "unipc"],
    "schnell": ["euler"],
    "Z-Image": ["euler"],
    "klein": ["euler"],
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in SOLVERS.items() for name in names]
)
def test_other_solvers_come_to_the_same_latents(folders, kind, name):
    family = loaded(folders[kind])
    noises = noises_of(family, 2)
    arguments = family.call_arguments("one rose", "", noises, 2.0)
    pipe = family.pipeline(name)
    drawn = family.spatial(pipe(**arguments, num_inference_steps=60).images)
    exact = ode(family, "one rose", "", noises, 2.0, steps=120)
    assert (drawn - exact).square().mean().sqrt() < 0.02 * exact.std()
    half = pipe.scheduler.sigmas[len(pipe.scheduler.sigmas) // 2]
    ours = float(family.schedule(60, 0.0).sqrt_beta[30])
    assert half == pytest.approx(ours, abs=0.01)


def test_solvers_that_do_not_fit_are_refused(folders, tmp_path):
    for kind, names in SOLVERS.items():
        assert loaded(folders[kind]).samplers() == names
    karras = loaded(save_sd3(tmp_path / "karras", use_karras_sigmas=True))
    assert karras.samplers() == ["euler"]
    linear = {"use_dynamic_shifting": True, "time_shift_type": "linear"}
    assert loaded(save_sd3(tmp_path / "linear", **linear)).samplers() == ["euler"]
    with pytest.raises(ConfigError, match="with the scheduler 'ddim'; choose euler or heun or"):
        loaded(folders["SD3"]).pipeline("ddim")


@pytest.mark.parametrize("kind", ["SD3", "dev"])
def test_only_the_layers_of_the_official_scripts_get_a_lora(folders, kind, make_config):
    policy = Policy(make_config(model=str(folders[kind])))
    trained = {name for name, p in policy.network.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trained)
    layers = {name.split(".lora_")[0].split(".", 2)[2] for name in trained}
    assert layers == set(policy.family.lora_targets)
    for name, component in policy.pipe.components.items():
        if isinstance(component, torch.nn.Module) and name != "transformer":
            assert not any(p.requires_grad for p in component.parameters())
    assert {p.dtype for p in policy.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("method", ["hero", "d3po", "ddpo"])
def test_models_of_few_steps_are_refused_where_steps_are_the_policy(
    folders, make_config, method, tmp_path
):
    settings = {"reward_model": "pickscore", "reward_model_path": str(tmp_path)}
    fields = {"method": method, **(settings if method == "ddpo" else {})}
    with pytest.raises(ConfigError, match=f"from which {method} cannot learn"):
        check_run(make_config(model=str(folders["schnell"]), **fields))


@pytest.mark.parametrize("method", ["hero+", "dreambooth", "prompt"])
def test_models_of_few_steps_are_taken_by_methods_that_need_no_steps(folders, make_config, method):
    fields = {"enhanced_prompt": "a rose"} if method == "prompt" else {}
    assert check_run(make_config(model=str(folders["schnell"]), method=method, **fields)) == []


def test_models_with_many_steps_can_start(folders, make_config):
    for kind in ("SD3", "SD3 without T5", "dev", "undistilled", "Z-Image", "klein"):
        assert check_run(make_config(model=str(folders[kind]))) == []


def test_a_negative_prompt_that_is_not_used_is_told(folders, make_config):
    for kind, warnings in [("SD3", 0), ("undistilled", 0), ("dev", 1), ("klein", 0)]:
        config = make_config(model=str(folders[kind]), negative_prompt="two cats")
        assert len(check_run(config)) == warnings


def cut_of(folder, prompts):
    return prompt_warnings(Found(ModelSettings(name=str(folder))), prompts)


def test_t5_reads_more_of_a_prompt_than_clip(folders):
    long = {"prompt": "one blue rose in a vase"}
    (by_t5,) = cut_of(folders["SD3"], long)
    assert "the model reads 16" in by_t5
    (by_clip,) = cut_of(folders["SD3 without T5"], long)
    assert "the model reads 12" in by_clip
    (by_t5,) = cut_of(folders["dev"], long)
    assert "the model reads 16" in by_t5


def test_sd3_takes_no_more_tokens_than_t5s_tokenizer_reads(folders, tmp_path):
    folder = shutil.copytree(folders["SD3"], tmp_path / "short")
    config = folder / "tokenizer_3" / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_max_length": 9}))
    for model, tokens in [(folder, 9), (folders["SD3"], 16), (folders["SD3 without T5"], 16)]:
        family = loaded(model)
        by_clip = family.pipe.tokenizer.model_max_length
        assert family.encode("one rose", None, CPU)["embeds"].shape[1] == by_clip + tokens
        called = family.call_arguments("one rose", "", noises_of(family), 3.0)
        assert called["max_sequence_length"] == tokens
    (cut,) = cut_of(folder, {"prompt": "one blue rose in a vase"})
    assert "the model reads 9" in cut


@pytest.mark.slow
def test_tiny_sd3_draws_what_diffusers_draws_as_its_page_says(monkeypatch):
    """And it takes 20 tokens of a T5 that says nothing, where others take 256."""
    monkeypatch.setattr(StableDiffusion3, "max_sequence_length", 256)
    family = loaded("tiny-sd3")
    rose, noises = "photo of one blue rose in a vase", noises_of(family, 2)
    own = StableDiffusion3Pipeline.from_pretrained(resolve("tiny-sd3"), dtype=torch.float32)
    theirs = own(
        rose,
        num_images_per_prompt=2,
        latents=noises,
        guidance_scale=3.0,
        num_inference_steps=5,
        max_sequence_length=20,
        output_type="latent",
    ).images
    torch.testing.assert_close(ode(family, rose, "", noises, 3.0), theirs, atol=1e-5, rtol=1e-4)


def test_another_kind_of_scheduler_is_refused(folders, tmp_path, make_config):
    folder = save_sd3(tmp_path / "sd3")
    path = folder / "model_index.json"
    path.write_text(path.read_text().replace("FlowMatchEuler", "FlowMatchHeun"))
    with pytest.raises(UnsupportedModel, match="scheduler is a FlowMatchHeunDiscreteScheduler"):
        check_run(make_config(model=str(folder)))
