"""What cannot be trained is refused before any weight is loaded, and the sentence says why."""

import json
import pickle
import shutil
import struct
import subprocess
import sys
import time

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from hero_engine.config import ModelSettings, SamplingSettings
from hero_engine.errors import ConfigError, HeroError, ModelNotFound, UnsupportedModel
from hero_engine.methods.base import Method
from hero_engine.methods.check_run import check_run
from hero_engine.models.checking import check_model
from hero_engine.models.loading import Found, image_size
from hero_engine.models.policy import Policy
from hero_engine.models.weights import choose_weights
from tests.hero_engine.tiny import MAKERS

UNET = "unet/diffusion_pytorch_model.safetensors"


def refused(folder, error=ModelNotFound):
    """The sentence, and that it takes no time."""
    started = time.perf_counter()
    with pytest.raises(error) as raised:
        check_model(Found(ModelSettings(name=str(folder))))
    assert time.perf_counter() - started < 2
    said = str(raised.value)
    assert "\n" not in said
    assert "; " in said
    return said


def change(folder, path, **fields):
    file = folder / path
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


@pytest.fixture
def folder(tmp_path, pipeline):
    return shutil.copytree(pipeline, tmp_path / "model")


@pytest.mark.parametrize("name", MAKERS)
def test_a_whole_pipeline_is_taken(tmp_path, name):
    folder = MAKERS[name](tmp_path / name)
    assert check_model(Found(ModelSettings(name=str(folder)))) == 0
    assert image_size(ModelSettings(name=str(folder)), SamplingSettings()) == (16, 16)


def test_a_path_that_is_no_pipeline(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model_index.json").write_text("{")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "model_index.json").write_text("[]")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "pytorch_lora_weights.safetensors").touch()
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "config.json").write_text('{"_class_name": "ControlNetModel"}')
    (tmp_path / "old.ckpt").touch()
    for model, error, message in [
        (tmp_path, ModelNotFound, "is no diffusers pipeline: it has no model_index.json"),
        (tmp_path / "missing", ModelNotFound, "There is no folder"),
        (tmp_path / "broken", ModelNotFound, "model_index.json of"),
        (tmp_path / "odd", ModelNotFound, "it is no JSON object"),
        (tmp_path / "lora", ModelNotFound, "is a LoRA"),
        (tmp_path / "part", ModelNotFound, "is a ControlNetModel, one part of a pipeline"),
        (tmp_path / "old.ckpt", UnsupportedModel, "may run code when they are opened"),
        ("./missing", ModelNotFound, "There is no folder"),
        ("tinier", ModelNotFound, "There is no folder 'tinier'"),
    ]:
        with pytest.raises(error) as raised:
            Found(ModelSettings(name=str(model)))
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("class_name", "does"),
    [
        ("StableDiffusionInpaintPipeline", "paints into an image"),
        ("StableDiffusionXLImg2ImgPipeline", "begins with an image"),
        ("StableDiffusionControlNetPipeline", "is steered by an image"),
        ("FluxFillPipeline", "paints into an image"),
        ("WanPipeline", "is not supported"),
    ],
)
def test_pipelines_of_other_kinds(folder, class_name, does):
    change(folder, "model_index.json", _class_name=class_name)
    said = refused(folder, UnsupportedModel)
    assert class_name in said
    assert does in said
    assert "StableDiffusionXLPipeline" in said


def test_an_inpainting_model_by_its_channels(folder):
    change(folder, "unet/config.json", in_channels=9)
    assert "it is an inpainting model" in refused(folder, UnsupportedModel)


def test_a_refiner(tmp_path):
    folder = MAKERS["sdxl"](tmp_path / "refiner")
    change(folder, "model_index.json", text_encoder=[None, None], tokenizer=[None, None])
    assert "it is an SDXL refiner" in refused(folder, UnsupportedModel)


def test_code_that_a_model_brings(folder):
    change(folder, "model_index.json", unet=["my_unet", "MyUNet"])
    assert "code that the model brings" in refused(folder, UnsupportedModel)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_missing(folder, part):
    for weights in (folder / part).glob("*.safetensors"):
        weights.unlink()
    assert f"there are no weights in {part}/" in refused(folder)


@pytest.mark.parametrize(
    "path", ["unet/config.json", "vae/config.json", "scheduler/scheduler_config.json"]
)
def test_configurations_that_are_missing(folder, path):
    (folder / path).unlink()
    assert f"it has no {path}" in refused(folder)


def test_a_part_that_the_index_does_not_name(folder):
    change(folder, "model_index.json", vae=[None, None])
    assert "names no vae" in refused(folder)


@pytest.mark.parametrize("kept", [0, 4, 100, 5000])
def test_weights_that_end_too_early(folder, kept):
    weights = folder / UNET
    weights.write_bytes(weights.read_bytes()[:kept])
    said = refused(folder)
    assert f"{UNET} is damaged: it" in said
    assert "download it again" in said


def test_weights_that_are_something_else(folder):
    (folder / UNET).write_bytes(b"<!DOCTYPE html>" * 100)
    assert "it is no safetensors file" in refused(folder)
    (folder / UNET).write_bytes(struct.pack("<Q", 20) + b"{no JSON as it seems}")
    assert "it is no safetensors file" in refused(folder)
    save_file({"a": torch.zeros(2)}, folder / UNET)
    assert "are of another network than its config.json describes" in refused(folder)


def test_a_pointer_that_git_left_in_the_place_of_weights(folder):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3438167536\n"
    (folder / UNET).write_text(pointer)
    assert f"{UNET} is a Git LFS pointer, which says where" in refused(folder)
    (folder / UNET).unlink()
    (folder / UNET.replace(".safetensors", ".bin")).write_text(pointer)
    assert "run `git lfs pull` in the model's folder" in refused(folder)


def test_a_configuration_that_lies_about_shapes(folder):
    change(folder, "unet/config.json", cross_attention_dim=24)
    said = refused(folder)
    assert "unet/config.json" in said
    assert "has shape 16 x 16 in the file and 16 x 24 by the configuration" in said


def test_a_configuration_that_describes_no_network(folder):
    change(folder, "unet/config.json", down_block_types=["NoSuchBlock", "DownBlock2D"])
    assert "unet/config.json" in refused(folder)


def test_a_variant_alone_is_taken(folder, tmp_path, make_config):
    plain = Policy(make_config(model=str(folder)))
    half = tmp_path / "half"
    pipe = StableDiffusionPipeline.from_pretrained(folder).to(dtype=torch.float16)
    pipe.save_pretrained(half, variant="fp16")
    assert not (half / UNET).exists()
    config = make_config(model=str(half))
    assert check_run(config) == []
    policy = Policy(config)
    for name, tensor in plain.network.state_dict().items():
        if "lora" not in name:
            other = policy.network.state_dict()[name]
            assert other.dtype == torch.float32
            torch.testing.assert_close(other, tensor, atol=1e-3, rtol=1e-2)


def test_shards_are_taken_and_missed(folder, make_config):
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    (folder / UNET).unlink()
    pipe.unet.save_pretrained(folder / "unet", max_shard_size="20KB")
    shards = sorted((folder / "unet").glob("*-of-*.safetensors"))
    assert len(shards) > 2
    config = make_config(model=str(folder))
    assert check_run(config) == []
    Policy(config)
    shards[1].unlink()
    assert f"has no {shards[1].name}" in refused(folder)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["model.fp16.safetensors", "model.safetensors"], ["model.safetensors"]),
        (["pytorch_model.bin", "model.safetensors"], ["model.safetensors"]),
        (["pytorch_model.bin", "model.fp16.safetensors"], ["pytorch_model.bin"]),
        (["model.bf16.safetensors", "model.fp16.safetensors"], ["model.fp16.safetensors"]),
        (["model-1-of-2.safetensors", "model-2-of-2.safetensors"],) * 2,
        (["model.fp16-1-of-2.safetensors", "model.fp16-2-of-2.safetensors"],) * 2,
        (["model-1-of-2.fp16.safetensors", "model-2-of-2.fp16.safetensors"],) * 2,
        (["flax_model.msgpack", "config.json", "model.onnx"], None),
    ],
)
def test_which_weights_are_chosen(names, chosen):
    weights = choose_weights(names)
    assert (weights and list(weights.files)) == chosen


class Harmful:
    """What a pickle can do when it is opened."""

    def __reduce__(self):
        return (open, ("harmed", "w"))


def test_pickled_weights_are_taken_if_they_are_weights(folder, make_config, monkeypatch, tmp_path):
    state = load_file(folder / UNET)
    (folder / UNET).unlink()
    pickled = folder / "unet" / "diffusion_pytorch_model.bin"
    torch.save(state, pickled)
    config = make_config(model=str(folder))
    assert check_run(config) == []
    Policy(config)
    monkeypatch.chdir(tmp_path)
    with pickled.open("wb") as file:
        pickle.dump(Harmful(), file)
    with pytest.raises(HeroError, match=r"Loading the pipeline .* failed"):
        Policy(config)
    assert not (tmp_path / "harmed").exists()
    torch.save(state, pickled)
    pickled.write_bytes(pickled.read_bytes()[:-100])
    assert "it ends too early" in refused(folder)


def test_images_need_not_be_square(folder, make_config):
    change(folder, "unet/config.json", sample_size=[8, 12])
    config = make_config(model=str(folder))
    assert check_run(config) == []
    run = Method.create(config)
    assert run.generate().images[0].size == (24, 16)
    assert image_size(config.model, config.sampling) == run.policy.family.image_size == (16, 24)


def test_a_model_that_does_not_say_its_size(folder, make_config):
    change(folder, "unet/config.json", sample_size=None)
    for start in (check_run, Policy):
        with pytest.raises(ConfigError, match="set height and width"):
            start(make_config(model=str(folder)))
    config = make_config(model=str(folder), height=16, width=16)
    assert check_run(config) == []
    assert Policy(config).latent_shape == (4, 8, 8)


@pytest.mark.parametrize("name", MAKERS)
def test_a_run_may_ask_for_a_size(tmp_path, name, make_config):
    folder = MAKERS[name](tmp_path / name)
    config = make_config(model=str(folder), height=24, width=16)
    assert check_run(config) == []
    run = Method.create(config)
    assert run.policy.latent_shape == (4, 12, 8)
    drawn = run.sample(2, seed=1)
    assert drawn.images[0].size == (16, 24)
    assert run.sample(2, scheduler="euler").images[0].size == (16, 24)
    run.save(tmp_path / "saved")
    again = Method.resume(tmp_path / "saved")
    assert torch.equal(again.sample(2, seed=1).latents, drawn.latents)


def test_sizes_that_cannot_be(make_config, pipelines):
    assert Policy(make_config(height=24)).latent_shape == (4, 12, 8)
    with pytest.raises(ConfigError, match=r"height is 17, .* multiples of 2; set it to 16"):
        check_run(make_config(height=17, width=16))
    with pytest.raises(ConfigError, match=r"width is 18, .* multiples of 4; set it to 16"):
        check_run(make_config(model=str(pipelines["sd3"]), height=16, width=18))


def test_broken_weights_are_no_images(folder, make_config):
    state = load_file(folder / UNET)
    state["conv_out.bias"][:] = float("nan")
    save_file(state, folder / UNET, {"format": "pt"})
    run = Method.create(make_config(model=str(folder)))
    with pytest.raises(HeroError, match="came out of the network as no numbers"):
        run.generate()


def test_a_broken_vae_draws_one_colour(folder, make_config):
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    state["decoder.conv_out.bias"][:] = float("nan")
    save_file(state, path, {"format": "pt"})
    run = Method.create(make_config(model=str(folder)))
    with pytest.raises(HeroError, match="8 of 8 images are of one colour each"):
        run.generate()


WITHOUT_TORCH = """
import sys
from hero_engine.config import ModelSettings, SamplingSettings
from hero_engine.errors import HeroError
from hero_engine.models.first_look import first_look
for model in sys.argv[1:]:
    try:
        first_look(ModelSettings(name=model), SamplingSettings())
    except HeroError as error:
        print(error)
print("torch" in sys.modules, "diffusers" in sys.modules, "transformers" in sys.modules)
"""


def test_most_is_told_before_torch_is_loaded(tmp_path, pipelines):
    """Which takes longer than all of the checks."""
    told = {}

    def bad(says, of="sd"):
        folder = shutil.copytree(pipelines[of], tmp_path / str(len(told)))
        told[str(folder)] = says
        return folder

    short = bad(f"{UNET} is damaged: it has") / UNET
    short.write_bytes(short.read_bytes()[:-1])
    (bad("there are no weights in unet/") / UNET).unlink()
    change(
        bad("has shape 16 x 16 in the file and 16 x 24"), "unet/config.json", cross_attention_dim=24
    )
    change(bad("it is an inpainting model"), "unet/config.json", in_channels=9)
    change(bad("a latent consistency model"), "unet/config.json", time_cond_proj_dim=8)
    change(bad("does not say the size of its images"), "unet/config.json", sample_size=None)
    change(bad("code that the model brings"), "model_index.json", unet=["my_unet", "MyUNet"])
    change(bad("names no vae"), "model_index.json", vae=[None, None])
    change(bad("is an SDXL refiner", "sdxl"), "model_index.json", text_encoder=[None, None])
    other = ["diffusers", "EDMEulerScheduler"]
    change(bad("scheduler is EDMEulerScheduler"), "model_index.json", scheduler=other)
    change(bad("only a FlowMatchEuler", "sd3"), "model_index.json", scheduler=other)
    zero = bad("ends in pure noise")
    change(zero, "scheduler/scheduler_config.json", rescale_betas_zero_snr=True)
    (bad("it has no scheduler/") / "scheduler" / "scheduler_config.json").unlink()
    shutil.rmtree(bad("it has no tokenizer/") / "tokenizer")
    save_file({"a": torch.zeros(2)}, bad("are of another network than") / UNET)
    told[str(tmp_path / "gone")] = "There is no folder"
    command = [sys.executable, "-c", WITHOUT_TORCH, *told]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *sentences, loaded = done.stdout.splitlines()
    assert loaded == "False False False"
    for says, sentence in zip(told.values(), sentences, strict=True):
        assert says in sentence
        assert "; " in sentence
