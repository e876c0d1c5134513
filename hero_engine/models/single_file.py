"""A whole model in one .safetensors file, as Civitai and ComfyUI have them: of which kind it is.

Such a file holds weights by the names of the authors' own code. What else a pipeline is made of,
configurations and tokenizers, comes from the pipeline of its kind on the hub, or from a folder.
"""

from pathlib import Path

from hero_engine.errors import ModelNotFound, UnsupportedModel
from hero_engine.models.weights import Shapes, shapes

SD_1_5 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SD_2_1 = "stabilityai/stable-diffusion-2-1"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
"""What diffusers takes the configurations of such files from."""

_UNET = "model.diffusion_model."
_FIRST_LAYER = f"{_UNET}input_blocks.0.0.weight"
_READS_A_PROMPT = f"{_UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
_LORA = (
    *("lora_up.weight", "lora_down.weight", "lora_A.weight", "lora_B.weight", ".alpha"),
    *(".lokr_w1", ".lokr_w1_a", ".hada_w1_a"),  # of LyCORIS
)
_CONTROLNET = ("control_model.", "controlnet_cond_embedding.")
_VAE = "first_stage_model."
_ENCODER, _XL_ENCODER, _BOTH_XL_ENCODERS = (
    "cond_stage_model.",
    "conditioner.",
    "conditioner.embedders.1.",
)
_GIVEN_MORE = {9: "an inpainting model", 8: "a model that edits images"}
"""By the channels that the first layer takes, of which noise has 4."""


def configuration_of(path: Path) -> str:
    """The hub id of the pipeline that a file's configuration and tokenizers are those of.

    Raises `ModelNotFound` for a damaged file, `UnsupportedModel` for what is no whole model.
    """
    if path.suffix != ".safetensors":
        raise UnsupportedModel(
            f"{str(path)!r} is no .safetensors file, and others may run code when they are opened; "
            "convert it to .safetensors, or give the folder of a diffusers pipeline."
        )
    found = shapes(path)
    if problem := _problem(found):
        raise UnsupportedModel(f"{str(path)!r} is {problem}.")
    if _has(found, _XL_ENCODER):
        return SDXL
    return SD_2_1 if found.get(_READS_A_PROMPT, (0,))[-1] == 1024 else SD_1_5


def _problem(found: Shapes) -> str | None:
    """What a file holds instead of a whole model, and what to do."""
    if any(key.endswith(_LORA) for key in found):
        return "a LoRA, which is no model of its own; give the model that it was trained on"
    if _has(found, *_CONTROLNET):
        return "a ControlNet; give the model that it steers"
    if _FIRST_LAYER not in found:
        return (
            f"no Stable Diffusion 1.x, 2.x or XL model in one file (it has no {_FIRST_LAYER}); "
            "give the folder or the hub id of its pipeline"
        )
    if kind := _GIVEN_MORE.get(found[_FIRST_LAYER][1]):
        return f"{kind}; give a text-to-image model"
    if not _has(found, _ENCODER, _XL_ENCODER):
        return "a model without its text encoder; give a file with all parts, or a folder"
    if _has(found, _XL_ENCODER) and not _has(found, _BOTH_XL_ENCODERS):
        return "an SDXL refiner, which only finishes the images of another; give the base model"
    if not _has(found, _VAE):
        return "a model without its VAE; give a file with all parts, or a folder"
    return None


def _has(found: Shapes, *prefixes: str) -> bool:
    return any(key.startswith(prefixes) for key in found)


def needs_configuration(path: Path, of: str, error: ModelNotFound) -> ModelNotFound:
    """That what a file leaves out cannot be had."""
    return ModelNotFound(
        f"{str(path)!r} holds weights alone, and the configuration and tokenizers of its kind "
        f"({of}) are neither in the local cache nor to be had from the hub; start once with a "
        "network (it is a few megabytes), or set pipeline_config to a folder of a pipeline of the "
        "same kind."
    )
