"""A Stable Diffusion pipeline as one file, by the names of the authors' own code."""

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}


IN_OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def save_single_file(folder: Path, file: Path, *, open_clip: bool = False) -> Path:
    """Write the pipeline in a folder as one file, its text encoder as in 1.x, or as in 2.x."""
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    if open_clip:
        return _save(pipe, file, _open_clip(pipe.text_encoder, "cond_stage_model.model"))
    return _save(pipe, file, _clip(pipe.text_encoder, "cond_stage_model.transformer"))


def save_single_xl_file(folder: Path, file: Path) -> Path:
    """Write an XL pipeline in a folder as one file."""
    pipe = StableDiffusionXLPipeline.from_pretrained(folder)
    first = _clip(pipe.text_encoder, "conditioner.embedders.0.transformer")
    return _save(
        pipe, file, first | _open_clip(pipe.text_encoder_2, "conditioner.embedders.1.model")
    )


def _save(pipe: Any, file: Path, encoders: dict[str, Tensor]) -> Path:
    state = {f"model.diffusion_model.{unet(k, 1)}": t for k, t in pipe.unet.state_dict().items()}
    state |= {f"first_stage_model.{vae(k, 2)}": t for k, t in pipe.vae.state_dict().items()}
    state |= encoders
    save_file({key: tensor.contiguous().to(torch.float32) for key, tensor in state.items()}, file)
    return file


def _clip(encoder: Any, prefix: str) -> dict[str, Tensor]:
    weights = encoder.state_dict().items()
    return {f"{prefix}.text_model.{k.removeprefix('text_model.')}": t for k, t in weights}


def _open_clip(encoder: Any, prefix: str) -> dict[str, Tensor]:
    """Queries, keys and values are one matrix there, and the projection stands the other way."""
    weights = {k.removeprefix("text_model."): t for k, t in encoder.state_dict().items()}
    state = {
        "token_embedding.weight": weights["embeddings.token_embedding.weight"],
        "positional_embedding": weights["embeddings.position_embedding.weight"],
        "ln_final.weight": weights["final_layer_norm.weight"],
        "ln_final.bias": weights["final_layer_norm.bias"],
    }
    if "text_projection.weight" in weights:
        state["text_projection"] = weights["text_projection.weight"].T
    for number in range(encoder.config.num_hidden_layers):
        ours, theirs = f"encoder.layers.{number}", f"transformer.resblocks.{number}"
        for end in ("weight", "bias"):
            qkv = [weights[f"{ours}.self_attn.{part}_proj.{end}"] for part in "qkv"]
            state[f"{theirs}.attn.in_proj_{end}"] = torch.cat(qkv)
            for name, other in IN_OPEN_CLIP.items():
                state[f"{theirs}.{other}.{end}"] = weights[f"{ours}.{name}.{end}"]
    return {f"{prefix}.{name}": tensor for name, tensor in state.items()}


def unet(key: str, layers: int) -> str:
    """Blocks are counted through; a block is a residual network and, where there is one, a
    transformer."""
    for ours, theirs in OUTSIDE.items():
        if key.startswith(f"{ours}."):
            return key.replace(ours, theirs, 1)
    if match := re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", key):
        kind, number, rest = match.groups()
        if kind == "attentions":
            return f"middle_block.1.{rest}"
        return f"middle_block.{2 * int(number)}.{resnet(rest)}"
    match = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", key)
    way, block, kind, number, rest = match.groups()
    first = int(block) * (layers + 1)
    if way == "down":
        place = f"input_blocks.{first + int(number) + 1}"
        if kind == "downsamplers":
            return f"input_blocks.{first + layers + 1}.0.op.{rest.removeprefix('conv.')}"
    else:
        place = f"output_blocks.{first + int(number)}"
        if kind == "upsamplers":
            return f"output_blocks.{first + layers}.2.{rest}"
    return f"{place}.1.{rest}" if kind == "attentions" else f"{place}.0.{resnet(rest)}"


def resnet(rest: str) -> str:
    name, _, parameter = rest.rpartition(".")
    return f"{RESNET[name]}.{parameter}"


def vae(key: str, levels: int) -> str:
    """The decoder's levels are counted from the image on."""
    key = key.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    key = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{levels - 1 - int(m[1])}.block", key)
    return re.sub(
        r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", key
    )
