"""Which classes of schedulers there are a way for; told before torch is loaded."""

from collections.abc import Mapping
from typing import Any

from hero_engine.errors import UnsupportedModel

DDIM = ("DDIMScheduler", "DDIMParallelScheduler")
CONVERTIBLE = (
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
)
OF_FEW_STEPS = ("LCMScheduler", "TCDScheduler")
"""Of those, what only models come with that were distilled to few steps."""
FLOW = "FlowMatchEulerDiscreteScheduler"


def check_ddim_class(config: Mapping[str, Any]) -> None:
    """Raise `UnsupportedModel` for a scheduler whose process is not the one of DDIM."""
    name = config.get("_class_name", DDIM[0])
    if name not in DDIM + CONVERTIBLE:
        raise UnsupportedModel(
            f"The model's scheduler is {name}, whose process is not the one of DDIM; choose "
            "another model, or, if this one draws well with DDIM in other programs, name "
            "DDIMScheduler in its model_index.json and its scheduler_config.json."
        )


def check_flow_class(config: Mapping[str, Any]) -> None:
    """Raise `UnsupportedModel` for a flow model with another scheduler than Euler's."""
    name = config.get("_class_name", FLOW)
    if name != FLOW:
        raise UnsupportedModel(
            f"The model's scheduler is a {name}; only a {FLOW} is supported for flow models: name "
            "that in its model_index.json and its scheduler_config.json."
        )
