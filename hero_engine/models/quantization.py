"""A network's frozen weights rounded to 8 or 4 bits while they are loaded, by other packages.

Both compute in float32. Neither has been tried on a GPU yet.
"""

from typing import Any, Literal

import torch
from diffusers import BitsAndBytesConfig, PipelineQuantizationConfig, TorchAoConfig


def quantization(network_name: str, bits: Literal["8-bit", "4-bit"]) -> PipelineQuantizationConfig:
    """What diffusers is told: int8 by torchao, or nf4 by bitsandbytes."""
    config: Any
    if bits == "8-bit":
        from torchao.quantization import Int8WeightOnlyConfig

        config = TorchAoConfig(Int8WeightOnlyConfig())
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.float32,
        )
    return PipelineQuantizationConfig(quant_mapping={network_name: config})
