"""Pipelines of every family with random weights, small enough for a test to sample from."""

from tests.hero_engine.tiny.flux import save_flux
from tests.hero_engine.tiny.flux2 import save_flux2
from tests.hero_engine.tiny.sd import save_pipeline
from tests.hero_engine.tiny.sd3 import save_sd3
from tests.hero_engine.tiny.sdxl import save_sdxl
from tests.hero_engine.tiny.z_image import save_z_image

MAKERS = {
    "sd": save_pipeline,
    "sdxl": save_sdxl,
    "sd3": save_sd3,
    "flux": save_flux,
    "z_image": save_z_image,
    "flux2": save_flux2,
}
"""By the family's short name; each writes a pipeline with latents of 4 x 8 x 8 into a folder."""

__all__ = [
    "MAKERS",
    "save_flux",
    "save_flux2",
    "save_pipeline",
    "save_sd3",
    "save_sdxl",
    "save_z_image",
]
