"""Whether weights fit their configuration, by a few of their shapes, before torch is loaded.

`checking.py` compares all of them, for which it has to build the network.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hero_engine.errors import ModelNotFound
from hero_engine.models.blocks import check_blocks
from hero_engine.models.files import ModelFiles
from hero_engine.models.weights import Shapes

Landmarks = Mapping[str, tuple[int, ...]]
"""The shapes of a few tensors, by the ends of their names."""


def _unet(config: Mapping[str, Any]) -> Landmarks:
    first, attends = config["block_out_channels"][0], config["cross_attention_dim"]
    found = {
        "conv_in.weight": (first, config["in_channels"]),
        "conv_out.weight": (config["out_channels"], first),
    }
    return found | ({"attn2.to_k.weight": (0, attends)} if isinstance(attends, int) else {})


def _autoencoder(config: Mapping[str, Any]) -> Landmarks:
    widths = config.get("decoder_block_out_channels") or config["block_out_channels"]
    return {
        "decoder.conv_in.weight": (widths[-1], config["latent_channels"]),
        "decoder.conv_out.weight": (config["out_channels"], widths[0]),
    }


def _sd3(config: Mapping[str, Any]) -> Landmarks:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return {
        "pos_embed.proj.weight": (width, config["in_channels"]),
        "context_embedder.weight": (
            config["caption_projection_dim"],
            config["joint_attention_dim"],
        ),
        "text_embedder.linear_1.weight": (width, config["pooled_projection_dim"]),
    }


def _flux(config: Mapping[str, Any]) -> Landmarks:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return {
        "x_embedder.weight": (width, config["in_channels"]),
        "context_embedder.weight": (width, config["joint_attention_dim"]),
    }


def _z_image(config: Mapping[str, Any]) -> Landmarks:
    return {"cap_embedder.1.weight": (config["dim"], config["cap_feat_dim"])}


def _qwen_image(config: Mapping[str, Any]) -> Landmarks:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return {
        "img_in.weight": (width, config["in_channels"]),
        "txt_in.weight": (width, config["joint_attention_dim"]),
    }


def _clip(config: Mapping[str, Any]) -> Landmarks:
    width = config["hidden_size"]
    return {
        "token_embedding.weight": (config["vocab_size"], width),
        "position_embedding.weight": (config["max_position_embeddings"], width),
    }


def _t5(config: Mapping[str, Any]) -> Landmarks:
    return {"shared.weight": (config["vocab_size"], config["d_model"])}


def _language_model(config: Mapping[str, Any]) -> Landmarks:
    text = config.get("text_config", config)
    return {"embed_tokens.weight": (text["vocab_size"], text["hidden_size"])}


_BY_CLASS: dict[str, Callable[[Mapping[str, Any]], Landmarks]] = {
    "UNet2DConditionModel": _unet,
    "AutoencoderKL": _autoencoder,
    "AutoencoderKLFlux2": _autoencoder,
    "SD3Transformer2DModel": _sd3,
    "FluxTransformer2DModel": _flux,
    "Flux2Transformer2DModel": _flux,
    "ZImageTransformer2DModel": _z_image,
    "QwenImageTransformer2DModel": _qwen_image,
    "CLIPTextModel": _clip,
    "CLIPTextModelWithProjection": _clip,
    "T5EncoderModel": _t5,
    "Qwen3Model": _language_model,
    "Qwen3ForCausalLM": _language_model,
    "Qwen2_5_VLForConditionalGeneration": _language_model,
}


def check_landmarks(files: ModelFiles, part: str, kind: str, there: Shapes) -> None:
    """Raise `ModelNotFound` where a part's weights are not what its configuration describes. Says
    nothing of classes that it does not know, and of what a configuration leaves out."""
    if kind not in _BY_CLASS:
        return
    try:
        described = _BY_CLASS[kind](files.json(f"{part}/config.json"))
    except (KeyError, TypeError, IndexError):
        return
    found = False
    for end, shape in described.items():
        for key in _named(there, end):
            found = True
            if not _fits(there[key], shape):
                raise mismatch(files.name, part, key, there[key], _whole(there[key], shape))
    if described and not found:
        raise another_network(files.name, part)
    check_blocks(files, part, kind, there)


def _named(there: Shapes, end: str) -> Iterator[str]:
    return (key for key in there if key == end or key.endswith(f".{end}"))


def _fits(there: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """0 is any size; sizes that are not described fit."""
    return len(there) >= len(shape) and all(
        wanted in (0, size) for wanted, size in zip(shape, there, strict=False)
    )


def _whole(there: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with what it does not say filled in."""
    said = (wanted or size for wanted, size in zip(shape, there, strict=False))
    return (*said, *there[len(shape) :])


def mismatch(
    model: str, part: str, key: str, there: tuple[int, ...], described: tuple[int, ...]
) -> ModelNotFound:
    """That one tensor has another shape than the configuration says."""
    return ModelNotFound(
        f"The {part}/config.json of {model!r} does not describe the weights beside it: {key} has "
        f"shape {_shown(there)} in the file and {_shown(described)} by the configuration; put the "
        "two that belong together there."
    )


def another_network(model: str, part: str) -> ModelNotFound:
    """That nothing fits."""
    return ModelNotFound(
        f"The weights in {part}/ of {model!r} are of another network than its config.json "
        "describes; put the two that belong together there."
    )


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "()"
