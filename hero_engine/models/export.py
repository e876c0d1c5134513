"""The fine-tuned model for other programs."""

import json
from collections.abc import Mapping
from pathlib import Path

from hero_engine.config import RunConfig
from hero_engine.errors import NoiseBankEmpty
from hero_engine.models.names import public_name
from hero_engine.models.policy import Policy
from hero_engine.processes import by_first
from hero_engine.storage.checkpoint import Checkpoint
from hero_engine.storage.durable import storing, write_tensors
from hero_engine.storage.whole import sync

NOISE_FILE = "noise_bank.safetensors"


def export_lora(policy: Policy, path: Path, about: Mapping[str, str]) -> Path:
    """Write the LoRA as one safetensors file in the naming of the family (`Family.save_lora`).

    `about` adds to the file's metadata. Raises `StorageError`.
    """

    def write() -> None:
        with storing("the LoRA", path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            metadata = {**lora_metadata(policy.config), **about}
            policy.family.save_lora(policy.lora_state(), path, metadata)
            sync(path)

    by_first(write)
    return path


def lora_metadata(config: RunConfig) -> dict[str, str]:
    """What a LoRA's file says of itself: keys of ModelSpec, of kohya's trainer, and of HERO."""
    model, rank = public_name(config.model.name), str(config.lora.lora_rank)
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.trigger_phrase": "; ".join(config.prompts),
        "modelspec.license": f"That of the base model, {model}, applies.",
        "ss_sd_model_name": model,
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,
        "hero.prompt": config.prompt,
        **({"hero.prompts": json.dumps(config.prompts)} if config.further_prompts else {}),
        "hero.base_model": model,
        "hero.method": config.method.name,
    }


def export_noise(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint's noise bank as safetensors into a folder; the path of the file.

    `good` is [good, channel, height, width], `best` is [channel, height, width] and lacks if no
    image was ever chosen. In a run of several prompts those of the second are `prompt-1-good` and
    `prompt-1-best`, and so on. Raises `NoiseBankEmpty`, `StorageError`.
    """
    kept = {
        f"{file.removesuffix('noise')}{name}": tensor
        for file, noise in checkpoint.tensors.items()
        if file.endswith("noise")
        for name, tensor in noise.items()
        if name in ("good", "best")
    }
    if not any(name.endswith("good") for name in kept):
        raise NoiseBankEmpty(
            "There are no good noises to export: no image of this run has been called good yet, "
            f"or its method ({checkpoint.config.get('method')}) keeps none; export its LoRA "
            "instead."
        )
    with storing("the noise bank", folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / NOISE_FILE, kept)
        return folder / NOISE_FILE
