"""Which families of models there are, by the pipeline class in a model_index.json."""

FAMILIES = {
    "StableDiffusionPipeline": "hero_engine.models.stable_diffusion:StableDiffusion",
    "StableDiffusionXLPipeline": "hero_engine.models.sdxl:StableDiffusionXL",
    "StableDiffusion3Pipeline": "hero_engine.models.sd3:StableDiffusion3",
    "FluxPipeline": "hero_engine.models.flux:Flux",
    "ZImagePipeline": "hero_engine.models.z_image:ZImage",
}
"""Where each family lives; loaded when it is used."""
