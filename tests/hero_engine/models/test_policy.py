import pytest
import torch
from diffusers import StableDiffusionPipeline

from hero_engine.errors import ConfigError
from hero_engine.methods.table import METHODS
from hero_engine.models.policy import Policy, device_for, precision_for
from hero_engine.storage.batch import Feedback
from tests.hero_engine.tiny import MAKERS, save_pipeline


def test_only_the_lora_is_trained_and_all_is_float32(tmp_path, make_config):
    folder = save_pipeline(tmp_path / "pipeline")
    StableDiffusionPipeline.from_pretrained(folder).to(dtype=torch.float16).save_pretrained(folder)
    policy = Policy(make_config(model=str(folder), lora_rank=2))
    pipe = policy.pipe
    names = [name for name, p in pipe.unet.named_parameters() if p.requires_grad]
    assert names
    assert all("lora_" in name for name in names)
    assert not any(p.requires_grad for m in (pipe.vae, pipe.text_encoder) for p in m.parameters())
    layers = {name.split(".lora_")[0].split(".attn")[1][2:] for name in names}
    assert layers == {"to_q", "to_k", "to_v", "to_out.0"} == set(policy.family.lora_targets)
    for module in (pipe.unet, pipe.vae, pipe.text_encoder):
        assert {p.dtype for p in module.parameters()} == {torch.float32}


@pytest.mark.parametrize("family", MAKERS)
def test_images_become_latents_in_every_family(pipelines, make_config, family):
    policy = Policy(make_config(model=str(pipelines[family])))
    shape = (3, *policy.latent_shape)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        policy.family.scaled(policy.family._unscaled(latents)), latents, rtol=1e-4, atol=1e-4
    )
    images = list(policy.decode(latents))
    assert (images[0].height, images[0].width) == policy.family.image_size
    encoded = policy.encode(images)
    assert encoded.shape == shape and encoded.dtype == torch.float32
    assert torch.equal(encoded, policy.encode(images))
    vae = policy.pipe.vae
    pixels = policy.pipe.image_processor.preprocess(images[1])
    with torch.no_grad():
        middle = vae.encode(pixels).latent_dist.mean
    assert torch.equal(policy.family.scaled(middle), encoded[1:2]), "not drawn by chance"


def test_the_lora_is_drawn_from_the_seed(make_config):
    one, same, other = (Policy(make_config(seed=s)).lora_state() for s in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_reference_model_leaves_the_present_one_as_it_is(hero):
    policy = hero.policy
    hero.learn(hero.generate(), Feedback((True, False) * 4, best=0))
    denoise = policy.denoiser("one rose")
    z_t, timesteps = torch.randn(2, *policy.latent_shape), torch.tensor([900, 300])
    with torch.no_grad():
        present = denoise(z_t, timesteps)
        with policy.pretrained():
            pretrained = denoise(z_t, timesteps)
        assert torch.equal(denoise(z_t, timesteps), present)
    denoise(z_t, timesteps).sum().backward()
    assert all(parameter.grad is not None for parameter in policy.parameters)
    policy.load_lora_state({name: 0 * tensor for name, tensor in policy.lora_state().items()})
    with torch.no_grad():
        torch.testing.assert_close(pretrained, denoise(z_t, timesteps), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(present, pretrained, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "negative"), [({}, "bad"), ({"guided": False}, None), ({"scale": 1.0}, None)]
)
def test_without_guidance_there_is_no_negative_prompt(make_config, monkeypatch, fields, negative):
    scale = fields.pop("scale", 5.0)
    policy = Policy(make_config(negative_prompt="bad", guidance_scale=scale))
    encoded = []
    encode = policy.family.encode
    monkeypatch.setattr(
        policy.family, "encode", lambda *args: encoded.append(args[:2]) or encode(*args)
    )
    policy.denoiser("one rose", **fields)
    assert encoded == [("one rose", negative)]


def test_a_cpu_cannot_sample_in_fp16(make_config):
    with pytest.raises(ConfigError, match="mixed_precision is fp16"):
        device_for(make_config(mixed_precision="fp16"))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("has_bf16", [True, False])
def test_precision_is_chosen_by_what_the_method_needs(make_config, monkeypatch, name, has_bf16):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    wanted = {"enhanced_prompt": "a fine rose"} if name == "prompt" else {}
    config = make_config(method=name, mixed_precision="auto", **wanted)
    half = has_bf16 and name in ("hero+", "dreambooth", "prompt")
    assert precision_for(config, torch.device("cuda")) == ("bf16" if half else "no")
    assert precision_for(config, torch.device("cpu")) == "no"


@pytest.mark.parametrize("said", ["no", "bf16", "fp16"])
def test_a_precision_that_is_said_is_taken(make_config, said):
    assert precision_for(make_config(mixed_precision=said), torch.device("cuda")) == said
