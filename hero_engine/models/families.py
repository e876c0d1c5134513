"""Which families of models there are, by the pipeline class in a model_index.json."""

FAMILIES = {
    "StableDiffusionPipeline": "hero_engine.models.stable_diffusion:StableDiffusion",
}
"""Where each family lives; loaded when it is used."""
