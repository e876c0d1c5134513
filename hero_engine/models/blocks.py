"""Whether weights are of as many blocks as their configuration says, before torch is loaded.

Blocks that are missing would be made by chance when the model is loaded, and those too many left
out; both without a word.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from hero_engine.errors import ModelNotFound
from hero_engine.models.files import ModelFiles
from hero_engine.models.weights import Shapes

Blocks = Mapping[str, int]
"""How many there are, by the ends of their lists' names."""


def _unet(config: Mapping[str, Any]) -> Blocks:
    layers = config["layers_per_block"]
    first = layers if isinstance(layers, int) else layers[0]
    return {"down_blocks": len(config["block_out_channels"]), "down_blocks.0.resnets": first}


def _autoencoder(config: Mapping[str, Any]) -> Blocks:
    widths = config.get("decoder_block_out_channels") or config["block_out_channels"]
    return {
        "decoder.up_blocks": len(widths),
        "decoder.up_blocks.0.resnets": config["layers_per_block"] + 1,
    }


def _two_streams(config: Mapping[str, Any]) -> Blocks:
    single = config.get("num_single_layers")
    return {"transformer_blocks": config["num_layers"]} | (
        {"single_transformer_blocks": single} if single else {}
    )


def _z_image(config: Mapping[str, Any]) -> Blocks:
    refiners = config["n_refiner_layers"]
    return {
        "layers": config["n_layers"],
        "noise_refiner": refiners,
        "context_refiner": refiners,
    }


_OF_NETWORKS: dict[str, Callable[[Mapping[str, Any]], Blocks]] = {
    "UNet2DConditionModel": _unet,
    "AutoencoderKL": _autoencoder,
    "AutoencoderKLFlux2": _autoencoder,
    "SD3Transformer2DModel": _two_streams,
    "FluxTransformer2DModel": _two_streams,
    "Flux2Transformer2DModel": _two_streams,
    "QwenImageTransformer2DModel": _two_streams,
    "ZImageTransformer2DModel": _z_image,
}


def _language_model(config: Mapping[str, Any]) -> Blocks:
    return {"layers": config.get("text_config", config)["num_hidden_layers"]}


_OF_ENCODERS: dict[str, Callable[[Mapping[str, Any]], Blocks]] = {
    "CLIPTextModel": _language_model,
    "CLIPTextModelWithProjection": _language_model,
    "T5EncoderModel": lambda config: {"encoder.block": config["num_layers"]},
    "Qwen3Model": _language_model,
    "Qwen3ForCausalLM": _language_model,
    "Qwen2_5_VLForConditionalGeneration": _language_model,
}
"""Of which people leave out the last layers on purpose, by the configuration alone."""


def check_blocks(files: ModelFiles, part: str, kind: str, there: Shapes) -> None:
    """Raise `ModelNotFound` where a part's configuration says another number of blocks than its
    weights have. Says nothing of classes that it does not know, and of other names."""
    count = _OF_NETWORKS.get(kind) or _OF_ENCODERS.get(kind)
    if count is None:
        return
    try:
        said = count(files.json(f"{part}/config.json"))
    except (KeyError, TypeError, IndexError):
        return
    for name, number in said.items():
        found = _number(name, there)
        if found and (found < number or (found > number and kind in _OF_NETWORKS)):
            raise ModelNotFound(
                f"The {part}/config.json of {files.name!r} does not describe the weights beside "
                f"it: it says {number} {name}, and the file has {found}; put the two that "
                "belong together there."
            )


def _number(name: str, there: Shapes) -> int:
    """How many blocks the list of that name has."""
    numbered = re.compile(rf"(?:^|\.){re.escape(name)}\.(\d+)\.")
    return 1 + max((int(m[1]) for key in there if (m := numbered.search(key))), default=-1)
