"""How Python code that stands in a README loads a run's base model in diffusers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.engine import PlainUse


def loading(fields: Mapping[str, Any], use: "PlainUse", model: str) -> tuple[str, str]:
    """The class to import from diffusers, and the expression that loads the model with it, which
    needs torch.

    Args:
        fields: the run's settings by name.
        use: what diffusers has to be told of the model.
        model: what the code calls the model.
    """
    named = {"revision": fields["revision"], "config": fields["pipeline_config"]}
    said = [f"{name}={value!r}" for name, value in named.items() if value]
    said += [f"{name}=None" for name in use.absent]
    arguments = ", ".join([repr(model), *said])
    # transformers loads its parts as they are stored, which may be another precision than theirs
    if Path(fields["model"]).is_file():
        return (
            use.pipeline,
            f"{use.pipeline}.from_single_file({arguments}, torch_dtype=torch.float32)",
        )
    return (
        "DiffusionPipeline",
        f"DiffusionPipeline.from_pretrained({arguments}, dtype=torch.float32)",
    )
