"""How Python code that stands in a README loads a run's base model in diffusers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def loading(fields: Mapping[str, Any], pipeline: str, model: str) -> tuple[str, str]:
    """The class to import from diffusers, and the expression that loads the model with it.

    Args:
        fields: the run's settings by name.
        pipeline: the class of the model's pipeline.
        model: what the code calls the model.
    """
    named = {"revision": fields["revision"], "config": fields["pipeline_config"]}
    arguments = ", ".join(
        [repr(model), *(f"{name}={value!r}" for name, value in named.items() if value)]
    )
    if Path(fields["model"]).is_file():
        return pipeline, f"{pipeline}.from_single_file({arguments})"
    return "DiffusionPipeline", f"DiffusionPipeline.from_pretrained({arguments})"
