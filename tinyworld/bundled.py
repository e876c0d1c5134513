"""Where the trained files are. Imports nothing, so that anybody may ask."""

from pathlib import Path

PIPELINE: Path = Path(__file__).parent / "pipeline"
"""The trained text-to-image model, a folder that diffusers' StableDiffusionPipeline loads."""
JUDGE: Path = Path(__file__).parent / "judge.safetensors"
"""The trained judge's weights."""
