"""A whole model in one .safetensors file, as Civitai and ComfyUI have them: of which kind it is.

Such a file holds weights by the names of the authors' own code. What else a pipeline is made of,
configurations and tokenizers, comes from the pipeline of its kind on the hub, or from a folder.
"""

from pathlib import Path

import torch
from diffusers.loaders.single_file_utils import (
    DIFFUSERS_DEFAULT_PIPELINE_PATHS,
    infer_diffusers_model_type,
)

from hero_engine.errors import ModelNotFound, UnsupportedModel
from hero_engine.models.weights import Shapes, shapes

WHOLE = ("v1", "v2", "xl_base")
"""What `infer_diffusers_model_type` calls the kinds that can be trained."""
OTHER = {
    "inpainting": "an inpainting model",
    "inpainting_v2": "an inpainting model",
    "xl_inpaint": "an inpainting model",
    "instruct-pix2pix": "a model that edits images (InstructPix2Pix)",
    "xl_refiner": "an SDXL refiner, which only finishes the images of another model",
    "upscale": "an upscaler",
}
_UNET = "model.diffusion_model."
_LORA = ("lora_up.weight", "lora_down.weight", "lora_A.weight", "lora_B.weight", ".alpha")
_IMAGE_CHANNELS = 4
_ENCODERS = ("cond_stage_model.", "conditioner.", "text_encoders.")
_VAE = ("first_stage_model.", "vae.")


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
    kind = _kind(found)
    if any(key.endswith(_LORA) for key in found):
        raise _not_whole(
            path, "a LoRA, which is no model of its own: give the model that it was trained on"
        )
    if kind.startswith("controlnet") or any("control_model." in key for key in found):
        raise _not_whole(path, "a ControlNet; give the model that it steers")
    if kind in OTHER:
        raise _not_whole(path, f"{OTHER[kind]}; give a text-to-image model")
    if not any(key.startswith(_UNET) for key in found):
        raise _not_whole(
            path,
            "no Stable Diffusion model in one file (none of its weights is "
            f"called {_UNET}...); give the folder or the hub id of its pipeline",
        )
    if kind not in WHOLE:
        raise _not_whole(
            path,
            f"a model of another kind ({kind}), which is read as a folder alone; "
            "give the folder or the hub id of its pipeline",
        )
    for prefixes, part in ((_ENCODERS, "text encoder"), (_VAE, "VAE")):
        if not any(key.startswith(prefixes) for key in found):
            raise _not_whole(
                path,
                f"a model without its {part}; give a file with all parts, or "
                "the folder of a pipeline",
            )
    return str(DIFFUSERS_DEFAULT_PIPELINE_PATHS[kind]["pretrained_model_name_or_path"])


def _kind(found: Shapes) -> str:
    """diffusers' own guess, by names and shapes."""
    with torch.device("meta"):
        empty = {key: torch.empty(shape) for key, shape in found.items()}
    return str(infer_diffusers_model_type(empty))


def _not_whole(path: Path, what: str) -> UnsupportedModel:
    return UnsupportedModel(f"{str(path)!r} is {what}.")


def needs_configuration(path: Path, of: str, error: ModelNotFound) -> ModelNotFound:
    """That what a file leaves out cannot be had."""
    return ModelNotFound(
        f"{str(path)!r} holds weights alone, and the configuration and tokenizers of its kind "
        f"({of}) are neither in the local cache nor to be had from the hub; start once with a "
        "network (it is a few megabytes), or set pipeline_config to a folder of a pipeline of the "
        "same kind."
    )
