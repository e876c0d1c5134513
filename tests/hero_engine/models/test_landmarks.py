"""Configurations that lie about their weights, told by a few shapes."""

import json
import shutil

import pytest

from hero_engine.config import ModelSettings, SamplingSettings
from hero_engine.errors import ModelNotFound
from hero_engine.models.files import LEFT_OUT, locate
from hero_engine.models.first_look import first_look
from hero_engine.models.landmarks import _BY_CLASS
from tests.hero_engine.tiny import MAKERS

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
]


def looked_at(folder):
    first_look(ModelSettings(name=str(folder)), SamplingSettings())


@pytest.mark.parametrize("name", MAKERS)
def test_whole_pipelines_are_taken_and_their_classes_known(pipelines, name):
    looked_at(pipelines[name])
    kinds = {kind for _, kind in locate(str(pipelines[name])).networks(LEFT_OUT).values()}
    assert name in ("z_image", "flux2") or kinds <= _BY_CLASS.keys()


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
