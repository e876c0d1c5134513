"""One .safetensors file with a whole model, and what looks like one."""

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file

from hero_engine.errors import ModelNotFound, UnsupportedModel
from hero_engine.methods.base import Method
from hero_engine.methods.check_run import check_run
from hero_engine.models.single_file import configuration_of
from hero_engine.storage.batch import Feedback
from tests.hero_engine.tiny import save_pipeline, save_sdxl
from tests.hero_engine.tiny.single_file import save_single_file, save_single_xl_file

UNET = "model.diffusion_model."
ATTENTION = f"{UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
ENCODER = "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"
VAE = "first_stage_model.decoder.conv_in.weight"
SDXL = "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias"
REFINER = "conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias"
FIRST = f"{UNET}input_blocks.0.0.weight"


@pytest.fixture(scope="module")
def file(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("civitai")
    return save_single_file(pipeline, folder / "roses_v1.safetensors")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))


def of_two_widths(folder):
    """XL's encoders have two widths, by which diffusers tells one's weights from the other's."""
    return save_sdxl(folder, second_width=32)


def as_open_clip(folder, file):
    return save_single_file(folder, file, open_clip=True)


@pytest.mark.parametrize(
    ("make", "save"),
    [
        (save_pipeline, save_single_file),
        (save_pipeline, as_open_clip),
        (of_two_widths, save_single_xl_file),
    ],
    ids=["1.x", "2.x", "XL"],
)
def test_it_draws_what_the_folder_draws_and_learns(make, save, make_config, tmp_path, offline):
    folder = str(make(tmp_path / "folder"))
    file = save(folder, tmp_path / "roses_v1.safetensors")
    config = make_config(model=str(file), pipeline_config=folder)
    assert check_run(config) == []
    run = Method.create(config)
    batch = run.generate()
    assert torch.equal(batch.latents, Method.create(make_config(model=folder)).generate().latents)
    assert run.learn(batch, Feedback((True, False) * 4, best=0)).updated
    run.save(tmp_path / "saved")
    again = Method.resume(tmp_path / "saved")
    assert torch.equal(again.generate().latents, run.generate().latents)


def test_without_its_configuration_the_sentence_says_what_to_do(file, make_config, offline):
    with pytest.raises(ModelNotFound, match="set pipeline_config to a folder") as raised:
        check_run(make_config(model=str(file)))
    assert "stable-diffusion-v1-5/stable-diffusion-v1-5" in str(raised.value)


def test_one_that_ends_too_early(file, make_config, tmp_path, pipeline):
    short = tmp_path / "short.safetensors"
    short.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelNotFound, match=r"short\.safetensors is damaged: it has"):
        check_run(make_config(model=str(short), pipeline_config=str(pipeline)))


def of_shapes(path, shapes):
    tensors = {key: torch.zeros(shape, dtype=torch.float16) for key, shape in shapes.items()}
    save_file(tensors, path)
    return path


WHOLE = {FIRST: (8, 4, 3, 3), ENCODER: (77, 768), VAE: (8, 4, 3, 3)}


@pytest.mark.parametrize(
    ("shapes", "of"),
    [
        (WHOLE, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        ({**WHOLE, ATTENTION: (8, 1024)}, "stabilityai/stable-diffusion-2-1"),
        (
            {FIRST: (8, 4, 3, 3), SDXL: (8,), VAE: (8, 4, 3, 3)},
            "stabilityai/stable-diffusion-xl-base-1.0",
        ),
    ],
    ids=["1.5", "2.1", "XL"],
)
def test_kinds_that_can_be_trained(tmp_path, shapes, of):
    assert configuration_of(of_shapes(tmp_path / "model.safetensors", shapes)) == of


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"lora_unet_down_blocks_0.lora_up.weight": (8, 4)}, "is a LoRA"),
        ({"unet.down.lora_A.weight": (8, 4)}, "is a LoRA"),
        ({"lora_unet_down_blocks_0.lokr_w1": (8, 4)}, "is a LoRA"),
        ({"control_model.time_embed.0.weight": (8, 4)}, "is a ControlNet"),
        ({"controlnet_cond_embedding.conv_in.weight": (8, 4)}, "is a ControlNet"),
        ({**WHOLE, FIRST: (8, 9, 3, 3)}, "is an inpainting model"),
        ({FIRST: (8, 4, 3, 3), REFINER: (8,), VAE: (8, 4, 3, 3)}, "is an SDXL refiner"),
        ({FIRST: (8, 4, 3, 3), VAE: (8, 4, 3, 3)}, "without its text encoder"),
        ({FIRST: (8, 4, 3, 3), ENCODER: (77, 768)}, "without its VAE"),
        (
            {"encoder.conv_in.weight": (8, 3, 3, 3)},
            "no Stable Diffusion 1.x, 2.x or XL model in one file",
        ),
        (
            {f"{UNET}double_blocks.0.img_attn.norm.key_norm.scale": (8,), "guidance_in": (1,)},
            "no Stable Diffusion 1.x, 2.x or XL model in one file",
        ),
    ],
)
def test_what_is_no_whole_model(tmp_path, shapes, message):
    path = of_shapes(tmp_path / "model.safetensors", shapes)
    with pytest.raises(UnsupportedModel, match=message) as raised:
        configuration_of(path)
    assert "give " in str(raised.value)


def test_an_exported_lora_is_no_model(hero, tmp_path):
    with pytest.raises(UnsupportedModel, match="is a LoRA"):
        configuration_of(hero.export_lora(tmp_path / "rose.safetensors"))
