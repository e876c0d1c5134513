import json

import huggingface_hub.constants
import pytest
import torch
from diffusers import StableDiffusionPipeline

from hero_engine.errors import ModelNotFound, UnsupportedModel
from hero_engine.models.stable_diffusion import Policy, check_model, load_pipeline
from tests.hero_engine.tiny import save_pipeline


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
    assert layers == {"to_q", "to_k", "to_v", "to_out.0"}
    for module in (pipe.unet, pipe.vae, pipe.text_encoder):
        assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_the_lora_is_drawn_from_the_seed(make_config):
    one, same, other = (Policy(make_config(seed=s)).lora_state() for s in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_path_that_is_no_pipeline(tmp_path):
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model_index.json").write_text("{")
    for model, message in [
        (str(tmp_path), r"is no diffusers pipeline: it has no model_index\.json"),
        (str(tmp_path / "missing"), "There is no folder"),
        (str(tmp_path / "model.safetensors"), "is a file, not a diffusers pipeline"),
        (str(tmp_path / "broken"), r"model_index\.json of .* cannot be read"),
        ("./missing", "There is no folder"),
    ]:
        with pytest.raises(ModelNotFound, match=message) as raised:
            check_model(model)
        assert "\n" not in str(raised.value)


def test_an_incomplete_pipeline(tmp_path):
    folder = save_pipeline(tmp_path / "pipeline")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match=r"Loading the pipeline .* failed"):
        load_pipeline(str(folder))


def test_a_damaged_pipeline(tmp_path):
    folder = save_pipeline(tmp_path / "pipeline")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelNotFound, match=r"Loading the pipeline .* failed"):
        load_pipeline(str(folder))


def test_other_kinds_of_pipeline(tmp_path):
    index = {"_class_name": "StableDiffusionXLPipeline"}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UnsupportedModel, match="StableDiffusionXLPipeline, which is not supported"):
        check_model(str(tmp_path))


def test_a_hub_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match=r"could not be fetched from .*; check the name"):
        check_model("nobody/no-such-model")
