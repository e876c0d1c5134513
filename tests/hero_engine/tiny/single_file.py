"""A Stable Diffusion pipeline as one file, by the names of the authors' own code."""

import re
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

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
}


def save_single_file(folder: Path, file: Path) -> Path:
    """Write the pipeline in a folder as one file."""
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    state = {f"model.diffusion_model.{unet(k, 1)}": t for k, t in pipe.unet.state_dict().items()}
    state |= {f"first_stage_model.{vae(k, 2)}": t for k, t in pipe.vae.state_dict().items()}
    for key, tensor in pipe.text_encoder.state_dict().items():
        name = key.removeprefix("text_model.")
        state[f"cond_stage_model.transformer.text_model.{name}"] = tensor
    save_file({key: tensor.contiguous().to(torch.float32) for key, tensor in state.items()}, file)
    return file


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
