"""Configurations that lie about their weights, told by a few shapes."""

import json
import shutil

import pytest

from hero_engine.config import ModelSettings, SamplingSettings
from hero_engine.errors import ModelNotFound
from hero_engine.models.blocks import _OF_ENCODERS, _OF_NETWORKS
from hero_engine.models.files import LEFT_OUT, locate
from hero_engine.models.first_look import first_look
from hero_engine.models.landmarks import _BY_CLASS
from tests.hero_engine.tiny import MAKERS
from tests.hero_engine.tiny.qwen_image import save_qwen_image

LIES = [
    ("sd", "unet", "cross_attention_dim", "attn2.to_k.weight"),
    ("sd", "unet", "out_channels", "conv_out.weight"),
    ("sd", "vae", "out_channels", "decoder.conv_out.weight"),
    ("sd", "text_encoder", "hidden_size", "token_embedding.weight"),
    ("sdxl", "unet", "block_out_channels", "conv_in.weight"),
    ("sdxl", "text_encoder_2", "max_position_embeddings", "position_embedding.weight"),
    ("sd3", "transformer", "pooled_projection_dim", "text_embedder.linear_1.weight"),
    ("sd3", "transformer", "in_channels", "pos_embed.proj.weight"),
    ("sd3", "text_encoder_3", "d_model", "shared.weight"),
    ("flux", "transformer", "joint_attention_dim", "context_embedder.weight"),
    ("flux", "transformer", "in_channels", "x_embedder.weight"),
    ("flux2", "transformer", "joint_attention_dim", "context_embedder.weight"),
    ("flux2", "text_encoder", "hidden_size", "embed_tokens.weight"),
    ("z_image", "transformer", "dim", "cap_embedder.1.weight"),
    ("z_image", "text_encoder", "vocab_size", "embed_tokens.weight"),
    ("qwen_image", "transformer", "joint_attention_dim", "txt_in.weight"),
]


@pytest.fixture(scope="module")
def pipelines(pipelines, tmp_path_factory):
    qwen_image = save_qwen_image(tmp_path_factory.mktemp("qwen") / "image")
    return {**pipelines, "qwen_image": qwen_image}


def looked_at(folder):
    first_look(ModelSettings(name=str(folder)), SamplingSettings())


@pytest.mark.parametrize("name", MAKERS)
def test_whole_pipelines_are_taken_and_their_classes_known(pipelines, name):
    looked_at(pipelines[name])
    kinds = {kind for _, kind in locate(str(pipelines[name])).networks(LEFT_OUT).values()}
    assert kinds <= _BY_CLASS.keys()
    assert kinds <= {*_OF_NETWORKS, *_OF_ENCODERS, "AutoencoderKLQwenImage"}


@pytest.mark.parametrize(("name", "part", "field", "tensor"), LIES)
def test_a_configuration_that_lies(pipelines, tmp_path, name, part, field, tensor):
    folder = shutil.copytree(pipelines[name], tmp_path / "model")
    path = folder / part / "config.json"
    config = json.loads(path.read_text())
    true = config[field]
    lie = [2 * size for size in true] if isinstance(true, list) else 2 * true
    path.write_text(json.dumps({**config, field: lie}))
    with pytest.raises(ModelNotFound, match="does not describe the weights beside it") as raised:
        looked_at(folder)
    said = str(raised.value)
    assert f"{part}/config.json" in said
    assert tensor in said
    assert "; put the two that belong together there" in said


BLOCKS = [
    ("sd", "unet", "layers_per_block", "down_blocks.0.resnets"),
    ("sdxl", "vae", "layers_per_block", "decoder.up_blocks.0.resnets"),
    ("sd3", "transformer", "num_layers", "transformer_blocks"),
    ("flux", "transformer", "num_single_layers", "single_transformer_blocks"),
    ("flux2", "transformer", "num_layers", "transformer_blocks"),
    ("z_image", "transformer", "n_layers", "layers"),
    ("z_image", "transformer", "n_refiner_layers", "noise_refiner"),
    ("qwen_image", "transformer", "num_layers", "transformer_blocks"),
    ("sd", "text_encoder", "num_hidden_layers", "layers"),
    ("sd3", "text_encoder_3", "num_layers", "encoder.block"),
    ("flux2", "text_encoder", "num_hidden_layers", "layers"),
]


def with_other_blocks(folder, path, part, field, number):
    folder = shutil.copytree(folder, path)
    config = folder / part / "config.json"
    said = json.loads(config.read_text())
    config.write_text(json.dumps({**said, field: number(said[field])}))
    return folder


@pytest.mark.parametrize(("name", "part", "field", "blocks"), BLOCKS)
def test_blocks_without_weights_are_not_made_by_chance(
    pipelines, tmp_path, name, part, field, blocks
):
    folder = with_other_blocks(
        pipelines[name], tmp_path / "model", part, field, lambda number: number + 2
    )
    said = rf"{part}/config.json of .* it says \d+ {blocks}, and the file has \d+; put the two"
    with pytest.raises(ModelNotFound, match=said):
        looked_at(folder)


def test_weights_that_the_configuration_leaves_out(pipelines, tmp_path):
    """Of a network they are a mistake; of a text encoder people skip the last layers on purpose."""
    folder = with_other_blocks(
        pipelines["qwen_image"], tmp_path / "network", "transformer", "num_layers", lambda _: 1
    )
    with pytest.raises(ModelNotFound, match="it says 1 transformer_blocks, and the file has 2"):
        looked_at(folder)
    looked_at(
        with_other_blocks(
            pipelines["flux2"],
            tmp_path / "encoder",
            "text_encoder",
            "num_hidden_layers",
            lambda number: number - 1,
        )
    )
