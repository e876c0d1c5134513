"""Where the trained files are. Imports nothing, so that anybody may ask."""

from pathlib import Path

PIPELINE: Path = Path(__file__).parent / "pipeline"
"""The trained text-to-image model, a folder that diffusers' StableDiffusionPipeline loads."""
JUDGE: Path = Path(__file__).parent / "judge.safetensors"
"""The trained judge's weights."""
PIPELINE_SD3: Path = Path(__file__).parent / "pipeline_sd3"
"""A trained model in the format of Stable Diffusion 3, for diffusers' StableDiffusion3Pipeline."""
PIPELINE_SDXL: Path = Path(__file__).parent / "pipeline_sdxl"
"""The first model in the format of Stable Diffusion XL, for StableDiffusionXLPipeline."""
