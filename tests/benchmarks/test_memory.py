"""What is counted on the meta device is what autograd keeps; the page shows what was written."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import SD3Transformer2DModel, UNet2DConditionModel

from benchmarks import memory, random_models
from benchmarks.cells import RESULTS
from benchmarks.memory_sizes import MODELS, add_lora, count, counting, kept_by
from hero_engine.models.families import FAMILIES
from tinyworld.bundled import PIPELINE, PIPELINE_SD3

PAGE = Path("docs/models.md").read_text()


def unet():
    return UNet2DConditionModel.from_config(f"{PIPELINE}/unet")


def unet_inputs():
    return {
        "sample": torch.zeros(1, 4, 16, 16),
        "timestep": torch.zeros(1),
        "encoder_hidden_states": torch.zeros(1, 77, unet().config.cross_attention_dim),
    }


def sd3():
    return SD3Transformer2DModel.from_config(f"{PIPELINE_SD3}/transformer")


def sd3_inputs():
    config = sd3().config
    return {
        "hidden_states": torch.zeros(1, config.in_channels, 16, 16),
        "timestep": torch.zeros(1),
        "encoder_hidden_states": torch.zeros(1, 20, config.joint_attention_dim),
        "pooled_projections": torch.zeros(1, config.pooled_projection_dim),
    }


@pytest.mark.parametrize(
    ("name", "network", "inputs"),
    [("SD 1.5", unet, unet_inputs), ("SD 3.5 medium", sd3, sd3_inputs)],
)
@pytest.mark.parametrize("lean", [False, True])
def test_counted_is_what_autograd_keeps(name, network, inputs, lean):
    real = network()
    add_lora(real, MODELS[name])
    kept = kept_by(real, inputs(), lean=lean)
    with counting():
        shapes = network()
        add_lora(shapes, MODELS[name])
        counted = kept_by(shapes, inputs(), lean=lean)
    assert counted == pytest.approx(kept, rel=0.05)
    assert kept > 0


def test_parts_by_hand():
    class Size:
        network, encoders, vae, lora = 100, 10, 5, 1

    assert memory._parts("high", Size, 7) == {
        "network": 400,
        "text encoders": 40,
        "vae": 20,
        "lora": 16,
        "activations of a pair": 7,
    }
    lean = memory._parts("4-bit", Size, 7)
    assert lean["network"] == pytest.approx(56)
    assert lean["text encoders"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_size_makes_a_pipeline_of_a_supported_family(name):
    model = MODELS[name]
    with torch.device("meta"):
        network, encoders = model.network(), [build() for build in model.encoders]
        vae = random_models.AutoencoderKL(latent_channels=model.channels, **random_models.VAE)
    pipe = random_models._pipeline(name, network, encoders, vae)
    assert FAMILIES[type(pipe).__name__].endswith(f":{model.family.__name__}")


def test_the_published_sizes():
    size = count(MODELS["SD 1.5"])
    assert (size.network, size.encoders) == (859_520_964, 123_060_480)


def test_the_page_shows_the_measured_and_the_counted_table():
    result = json.loads((RESULTS / "memory.json").read_text())
    for sheet in (
        memory.measured_sheet(result["measured"]),
        memory.counted_sheet(result["counted"]),
    ):
        assert sheet.markdown() in PAGE
        assert sheet.markdown() in (RESULTS / "memory.md").read_text()


def test_the_readme_has_what_low_memory_takes():
    said = " ".join(Path("README.md").read_text().split())
    counted = json.loads((RESULTS / "memory.json").read_text())["counted"]
    for name in ("SD 1.5, 512 px", "SDXL, 1024 px", "SD 3.5 medium, 1024 px"):
        low = counted[name]["gigabytes"]["low"]["sum"]
        assert f"{low:.1f} GB ({name})" in said


def test_low_memory_takes_less_where_it_was_measured():
    measured = json.loads((RESULTS / "memory.json").read_text())["measured"]
    assert measured["low"]["sampling and decoding"] < measured["high"]["sampling and decoding"]
    assert measured["low"]["learning"] < 0.7 * measured["high"]["learning"]
    # weights in 16 bits, encoder and network, and a VAE in float32: no float32 copy of all is made
    size = count(MODELS["SD 1.5"])
    stored = 2 * (size.network + size.encoders) + 4 * size.vae
    assert measured["low"]["loading"] < 1.25 * stored / 1e9
