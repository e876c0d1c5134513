"""Which families of models there are, by the pipeline class in a model_index.json."""

from hero_engine.errors import ModelNotFound, UnsupportedModel
from hero_engine.models.files import INDEX, ModelFiles

FAMILIES = {
    "StableDiffusionPipeline": "hero_engine.models.stable_diffusion:StableDiffusion",
    "StableDiffusionXLPipeline": "hero_engine.models.sdxl:StableDiffusionXL",
    "StableDiffusion3Pipeline": "hero_engine.models.sd3:StableDiffusion3",
    "FluxPipeline": "hero_engine.models.flux:Flux",
    "ZImagePipeline": "hero_engine.models.z_image:ZImage",
    "QwenImagePipeline": "hero_engine.models.qwen_image:QwenImage",
    "Flux2KleinPipeline": "hero_engine.models.flux2:Flux2Klein",
}
"""Where each family lives; loaded when it is used."""
_OTHER_KINDS = {
    "Inpaint": "paints into an image",
    "Img2Img": "begins with an image",
    "ControlNet": "is steered by an image",
    "Adapter": "is steered by an image",
    "InstructPix2Pix": "edits an image",
    "Upscale": "enlarges an image",
    "Kontext": "edits an image",
    "Fill": "paints into an image",
}
"""What pipelines of other kinds do, by a word in the names of their classes."""


def family_of(files: ModelFiles) -> str:
    """Where the family of a pipeline lives.

    Raises `ModelNotFound`, and `UnsupportedModel` for a kind that cannot be fine-tuned.
    """
    class_name = files.json(INDEX).get("_class_name")
    if class_name is None:
        raise ModelNotFound(
            f"The model_index.json of {files.name!r} cannot be read (it names no pipeline); "
            "download the pipeline again."
        )
    if class_name not in FAMILIES:
        raise UnsupportedModel(_unsupported(files.name, str(class_name)))
    return FAMILIES[class_name]


def _unsupported(name: str, class_name: str) -> str:
    for mark, kind in _OTHER_KINDS.items():
        if mark in class_name:
            return (
                f"{name!r} is a {class_name}, which {kind}; choose a text-to-image model of one of "
                f"these kinds: {', '.join(FAMILIES)}."
            )
    return (
        f"{name!r} is a {class_name}, which is not supported; choose a model of one of these "
        f"kinds: {', '.join(FAMILIES)}."
    )
