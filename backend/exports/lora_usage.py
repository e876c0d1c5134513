"""How other programs use the LoRA: what `hero export` prints, and what a model card says."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from backend.exports.loading import loading

if TYPE_CHECKING:
    from backend.engine import PlainUse


def how_to_use(path: Path) -> str:
    """Where other programs look for the file, and at which strength it is what was trained."""
    return "\n".join([f"diffusers: pipe.load_lora_weights({str(path)!r})", *programs(path)])


def programs(path: Path) -> list[str]:
    """The same for the programs that people draw with, a line each."""
    lines = ["ComfyUI: put it into models/loras, Load LoRA, strength_model 1"]
    with safe_open(path, framework="numpy") as file:
        kohya = any(name.startswith("lora_unet_") for name in file.keys())  # noqa: SIM118
    if kohya:
        lines.append(
            f"AUTOMATIC1111, Forge: put it into models/Lora, <lora:{path.stem}:1> in the prompt"
        )
    return lines


def code(fields: Mapping[str, Any], use: "PlainUse", model: str, lora: str, repository: str) -> str:
    """Python that draws the run's prompt in plain diffusers.

    Args:
        fields: the run's settings by name.
        use: what diffusers has to be told of the base model.
        model: what the base model is loaded from.
        lora: the LoRA's file name.
        repository: what the LoRA is loaded from: a folder, or an id on the hub.
    """
    loader, expression = loading(fields, use, model)
    # Z-Image's pipeline says 0 for no guidance
    guidance = fields["guidance_scale"] - (use.pipeline == "ZImagePipeline")
    optional = {name: fields[name] for name in ("negative_prompt", "height", "width")}
    arguments = {
        "num_inference_steps": fields["num_inference_steps"],
        "guidance_scale": guidance,
        **{name: value for name, value in optional.items() if value},
    }
    if use.pipeline == "QwenImagePipeline":  # which is guided only if there is a negative prompt
        arguments["true_cfg_scale"] = arguments.pop("guidance_scale")
        arguments["negative_prompt"] = fields["negative_prompt"]
    if use.max_sequence_length:
        arguments["max_sequence_length"] = use.max_sequence_length
    negative = arguments.pop("negative_prompt", None)
    said = "".join(f"    {name}={value!r},\n" for name, value in arguments.items())
    if negative is not None and use.pipeline == "Flux2KleinPipeline":  # which takes it encoded
        said += f"    negative_prompt_embeds=pipe.encode_prompt({negative!r})[0],\n"
    elif negative is not None:
        said += f"    negative_prompt={negative!r},\n"
    return (
        f"import torch\nfrom diffusers import {loader}\n\n"
        f"pipe = {expression}\n"
        f"pipe.load_lora_weights({repository!r}, weight_name={lora!r})\n"
        f"image = pipe(\n    prompt={fields['prompt']!r},\n{said}).images[0]\n"
    )
