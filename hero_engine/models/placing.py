"""A loaded model brought into the form and to the devices that a plan of its memory says."""

from typing import Any

import torch

from hero_engine.models.base import Family, pixels_of
from hero_engine.models.encoding import Prompts
from hero_engine.models.half_storage import store_in_half
from hero_engine.models.memory import MemoryPlan

TILE = 512
"""Side of the largest square, in pixels, that is decoded at once where memory is low."""
CPU = torch.device("cpu")


def slimmed(family: Family, plan: MemoryPlan) -> Family:
    """The same model with its frozen weights stored, its activations recomputed and its images
    decoded as the plan says; before it gets a LoRA, which stays float32."""
    if not plan.lean:
        return family
    network: Any = family.network
    stored = [*family.encoders.values(), *([] if plan.bits else [network])]
    for part in stored:
        store_in_half(part, plan.half or torch.bfloat16)
    network.enable_gradient_checkpointing()
    _decode_in_tiles(family.pipe.vae)
    return family


def placed(family: Family, plan: MemoryPlan, device: torch.device) -> Prompts:
    """Move a model to the device, text encoders to the CPU where memory is low; what encodes its
    prompts."""
    # Convolutions would round to 10 bits on newer GPUs, which drowns the ratio's clip.
    torch.backends.cudnn.allow_tf32 = False
    if not plan.lean:
        family.pipe.to(device)
        return Prompts(family, device)
    if plan.bits != "4-bit":  # those weights are there since they were loaded
        family.network.to(device)
    family.pipe.vae.to(device)
    return Prompts(family, device, CPU)


def _decode_in_tiles(vae: Any) -> None:
    """Images beyond `TILE` in overlapping tiles; smaller ones whole, as without."""
    if hasattr(vae, "tile_latent_min_size"):
        vae.enable_tiling()
        vae.tile_sample_min_size = TILE
        vae.tile_latent_min_size = TILE // pixels_of(vae.config)
    else:  # Qwen-Image's, which has its tiles' distance, too
        vae.enable_tiling(TILE, TILE, TILE * 3 // 4, TILE * 3 // 4)
