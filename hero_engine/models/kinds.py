"""What a pipeline is made of, and whether it draws from a prompt alone: by its configurations,
before torch is loaded."""

from collections.abc import Mapping
from typing import Any

from hero_engine.diffusion.ddim_checks import check_ddim
from hero_engine.errors import ConfigError, ModelNotFound, UnsupportedModel
from hero_engine.models.files import INDEX, SCHEDULER, Configs, ModelFiles, names_part
from hero_engine.models.scheduler_classes import check_ddim_class, check_flow_class

_ONE_ENCODER = ("vae", "text_encoder", "tokenizer", "scheduler")
_TWO_ENCODERS = (*_ONE_ENCODER, "text_encoder_2", "tokenizer_2")
PARTS = {
    "StableDiffusionPipeline": (*_ONE_ENCODER, "unet"),
    "StableDiffusionXLPipeline": (*_TWO_ENCODERS, "unet"),
    "StableDiffusion3Pipeline": (*_TWO_ENCODERS, "text_encoder_3", "tokenizer_3", "transformer"),
    "FluxPipeline": (*_TWO_ENCODERS, "transformer"),
    "ZImagePipeline": (*_ONE_ENCODER, "transformer"),
    "QwenImagePipeline": (*_ONE_ENCODER, "transformer"),
    "Flux2KleinPipeline": (*_ONE_ENCODER, "transformer"),
}
"""What each pipeline needs."""
MAY_BE_NULL = ("text_encoder_3", "tokenizer_3")
"""Parts that a model_index.json has to name, if only to say that there is none."""


def check_kind(files: ModelFiles) -> None:
    """See that a pipeline has its parts, and is no refiner, inpainting model and so on.

    Raises `ModelNotFound`, and `UnsupportedModel` for a kind that cannot be fine-tuned.
    """
    index = files.json(INDEX)
    try:
        if index["_class_name"] == "StableDiffusionXLPipeline":
            _check_no_refiner(index)
        _check_parts(files, index)
        if names_part(index, "unet"):
            _check_unet(files.json)
        else:
            check_flow_class(files.json(SCHEDULER))
    except UnsupportedModel as error:
        said = str(error)
        raise UnsupportedModel(
            f"{files.name!r} cannot be used: {said[0].lower()}{said[1:]}"
        ) from error


def _check_parts(files: ModelFiles, index: Mapping[str, Any]) -> None:
    for name in PARTS[index["_class_name"]]:
        if not names_part(index, name) and not (name in MAY_BE_NULL and name in index):
            raise ModelNotFound(
                f"The model {files.name!r} is not complete: its {INDEX} names no {name}; "
                "download it again, or write it again with save_pretrained()."
            )


def _check_no_refiner(index: Mapping[str, Any]) -> None:
    if index.get("requires_aesthetics_score") or not names_part(index, "text_encoder"):
        raise UnsupportedModel(
            "It is an SDXL refiner, which only finishes the images of another model; choose the "
            "base model."
        )


def _check_unet(configs: Configs) -> None:
    """See that it is given noise alone, and is drawn by a process that DDIM has steps for."""
    unet, vae = configs("unet/config.json"), configs("vae/config.json")
    channels, latents = unet.get("in_channels", 4), vae.get("latent_channels", 4)
    if channels != latents:
        kind = {9: "an inpainting model", 8: "a model that edits images"}.get(
            channels, "a model that is given more than noise"
        )
        raise UnsupportedModel(
            f"Its UNet takes {channels} channels where the VAE has {latents}: it is {kind}; "
            "choose a text-to-image model."
        )
    if unet.get("time_cond_proj_dim"):
        raise UnsupportedModel(
            "Its UNet is told the guidance scale (a latent consistency model), which is not "
            "supported; choose the model that it was distilled from."
        )
    scheduler = configs(SCHEDULER)
    check_ddim_class(scheduler)
    check_ddim(scheduler, ends_in_noise=bool(scheduler.get("rescale_betas_zero_snr")))


def check_size_is_known(unet: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if a UNet's configuration does not say which images it draws."""
    if unet.get("sample_size") is None:
        raise ConfigError(
            "The model does not say the size of its images (sample_size is null in its "
            "unet/config.json); set height and width, as its page says."
        )
