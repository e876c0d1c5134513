"""Which processes DDIM's steps have a likelihood for; told before torch is loaded."""

from collections.abc import Mapping
from typing import Any

from hero_engine.errors import UnsupportedModel


def check_ddim(config: Mapping[str, Any], *, ends_in_noise: bool) -> None:
    """Raise `UnsupportedModel` for dynamic thresholding, and for epsilon prediction of a process
    that ends in pure noise."""
    if config.get("thresholding"):
        raise UnsupportedModel(
            "The model's scheduler uses dynamic thresholding, whose steps have no closed "
            "log-probability; set thresholding to false in its scheduler_config.json."
        )
    if ends_in_noise and config.get("prediction_type", "epsilon") == "epsilon":
        raise UnsupportedModel(
            "The model's scheduler ends in pure noise (rescale_betas_zero_snr), of which a network "
            "that predicts the noise (epsilon) says nothing of the image; set prediction_type to "
            "v_prediction in its scheduler_config.json if that is what it was trained on, or else "
            "rescale_betas_zero_snr to false."
        )
