"""The fine-tuned model for other programs."""

from collections.abc import Mapping
from pathlib import Path

from diffusers.utils import convert_state_dict_to_kohya
from torch import Tensor

from hero_engine.config import HeroConfig
from hero_engine.errors import NoiseBankEmpty
from hero_engine.storage.checkpoint import Checkpoint
from hero_engine.storage.durable import storing, sync, write_tensors

NOISE_FILE = "noise_bank.safetensors"


def export_lora(lora: dict[str, Tensor], path: Path, about: Mapping[str, str]) -> Path:
    """Write the LoRA as one safetensors file that diffusers, ComfyUI and AUTOMATIC1111/Forge take.

    The keys are kohya's: `lora_unet_<layer>.lora_down.weight`, `.lora_up.weight` and `.alpha`,
    which equals the rank, so that strength 1 is what was trained. `about` becomes the file's
    metadata. Raises `StorageError`.
    """
    keys = convert_state_dict_to_kohya({f"unet.{name}": tensor for name, tensor in lora.items()})
    with storing("the LoRA", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, {name: t.float() for name, t in keys.items()}, about)
        sync(path)
    return path


def lora_metadata(config: HeroConfig) -> dict[str, str]:
    """What a LoRA's file says of itself: keys of ModelSpec, of kohya's trainer, and of HERO."""
    rank = str(config.lora_rank)
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.trigger_phrase": config.prompt,
        "modelspec.license": f"That of the base model, {config.model}, applies.",
        "ss_sd_model_name": config.model,
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,
        "hero.prompt": config.prompt,
        "hero.base_model": config.model,
        "hero.method": config.method,
    }


def export_noise(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint's noise bank as safetensors into a folder; the path of the file.

    `good` is [good, channel, height, width], `best` is [channel, height, width] and lacks if no
    image was ever chosen. Raises `NoiseBankEmpty`, `StorageError`.
    """
    noise = checkpoint.tensors.get("noise", {})
    if "good" not in noise:
        raise NoiseBankEmpty(
            "There are no good noises to export: no image of this run has been called good yet, "
            f"or its method ({checkpoint.config.method}) keeps none; export its LoRA instead."
        )
    with storing("the noise bank", folder):
        folder.mkdir(parents=True, exist_ok=True)
        kept = {name: noise[name] for name in ("good", "best") if name in noise}
        write_tensors(folder / NOISE_FILE, kept)
        return folder / NOISE_FILE
