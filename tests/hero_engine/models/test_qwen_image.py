"""Qwen-Image behind the interface, against diffusers' own pipeline."""

import numpy as np
import pytest
import torch
from diffusers import QwenImagePipeline
from peft import get_peft_model_state_dict
from safetensors.torch import load_file

from hero_engine.config import ModelSettings, SamplingSettings
from hero_engine.diffusion.sampling import sample
from hero_engine.methods.base import Method
from hero_engine.methods.check_run import check_run
from hero_engine.models.loading import Found, image_size
from hero_engine.models.policy import load_family
from hero_engine.storage.batch import Feedback
from tests.hero_engine.tiny.qwen_image import save_qwen_image

CPU = torch.device("cpu")
SIZE = {"height": 16, "width": 24}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_qwen_image(tmp_path_factory.mktemp("qwen") / "model")


@pytest.fixture(scope="module")
def family(folder):
    return load_family(ModelSettings(name=str(folder)), SamplingSettings(**SIZE))


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_without_noise_the_images_are_those_of_the_models_own_pipeline(
    folder, family, guidance_scale
):
    noises = torch.randn(2, *family.latent_shape, generator=torch.Generator().manual_seed(0))
    assert noises.shape == (2, 4, 8, 12)
    negative = "two cats" if guidance_scale > 1 else None
    condition = family.encode("one rose", negative, CPU)

    def denoise(z_t, timesteps):
        return family.predict(z_t, timesteps, condition, guidance_scale)

    ours = sample(denoise, family.schedule(5, 0.0), noises, torch.Generator())[0]
    own = QwenImagePipeline.from_pretrained(folder)
    arguments = family.call_arguments("one rose", "two cats", noises, guidance_scale)
    theirs = family.spatial(own(**arguments, num_inference_steps=5).images)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    images = own(**{**arguments, "output_type": "pil"}, num_inference_steps=5).images
    for image, expected in zip(family.decode(theirs), images, strict=True):
        assert image.size == (24, 16)
        assert np.abs(np.int16(image) - np.int16(expected)).max() <= 1


def test_its_schedule_and_size_are_known_without_weights(folder, family):
    found, sampling = Found(ModelSettings(name=str(folder))), SamplingSettings(**SIZE)
    assert torch.equal(found.schedule(sampling).std, family.schedule(50, 1.0).std)
    assert family.shift(50) is not None
    assert image_size(ModelSettings(name=str(folder)), sampling) == (16, 24)
    assert image_size(ModelSettings(name=str(folder)), SamplingSettings())[0] == 256  # 128 latents


OF_METHOD = {
    "hero": {},
    "hero+": {"denoising_steps": 2, "denoising_batch_size": 4, "denoising_full_share": 0.0},
    "d3po": {},
    "ddpo": {},
    "dreambooth": {"denoising_steps": 2, "denoising_batch_size": 4, "prior_images": 2},
    "prompt": {"enhanced_prompt": "a fine rose"},
}


def by_brightness(images, prompts):
    return [sum(image.convert("L").tobytes()) / 1e4 for image in images]


@pytest.mark.parametrize("method", OF_METHOD)
def test_it_learns_resumes_and_exports(folder, make_config, tmp_path, method):
    config = make_config(model=str(folder), method=method, **SIZE, **OF_METHOD[method])
    parts = {"reward": by_brightness} if method == "ddpo" else {}
    assert method == "ddpo" or check_run(config) == []
    run = Method.create(config, **parts)
    report = run.learn(run.generate(), Feedback((True, False) * 4, best=2))
    assert report.updated == (method != "prompt")
    run.save(tmp_path / "saved")
    again = Method.resume(tmp_path / "saved", **parts)
    assert torch.equal(again.generate().latents, run.generate().latents)
    ours = load_file(run.export_lora(tmp_path / "rose.safetensors"))
    layers = get_peft_model_state_dict(run.policy.network)
    QwenImagePipeline.save_lora_weights(tmp_path, layers, weight_name="theirs")
    theirs = load_file(tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert run.sample(2, scheduler="euler", seed=1).images[0].size == (24, 16)


def test_an_image_becomes_the_latent_that_it_was_drawn_from(family):
    latents = torch.randn(1, *family.latent_shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(family.scaled(family._unscaled(latents)), latents)
    (image,) = family.decode(latents)
    encoded = family.latents_of(image)
    assert encoded.shape == latents.shape
    assert torch.equal(encoded, family.latents_of(image))
