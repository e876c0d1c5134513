"""The model's scheduler as DDIM, and the samplers that a finished model can be drawn with.

A scheduler's file holds two kinds of thing: the process that the model was trained on (betas, what
the network predicts), and a solver for it. HERO needs DDIM's steps, which are random choices with a
probability, so the process is kept and the solver is replaced. What the file leaves out means what
it means to the class that it names. diffusers' own conversion fills in DDIM's defaults instead,
among them clean latents clipped to [-1, 1], which is another image.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import diffusers
from diffusers import DDIMScheduler

from hero_engine.errors import ConfigError
from hero_engine.models.scheduler_classes import DDIM, check_ddim_class

_STOP_AT_SIGMA_MIN = ("DEISMultistepScheduler", "SASolverScheduler")
"""Solvers that end at the first timestep's noise; the others end at clean latents."""
_NO_DPM_SDE = "DPMSolverSDEScheduler"
"""Its class has no parameters where torchsde is missing; they are those of the other solvers."""

_SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++ karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
    ),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler a": ("EulerAncestralDiscreteScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
SCHEDULERS = tuple(_SAMPLERS)
"""Names of the samplers that a finished model can be drawn from with."""


def as_ddim(config: Mapping[str, Any]) -> DDIMScheduler:
    """DDIM for the process that a scheduler's configuration describes.

    Raises `UnsupportedModel` for a class whose process is another one.
    """
    check_ddim_class(config)
    name = config.get("_class_name", DDIM[0])
    if name in DDIM:
        return DDIMScheduler.from_config(dict(config))
    said = {key: value for key, value in config.items() if not key.startswith("_")}
    meant = {**_defaults(name), **said}
    known = inspect.signature(DDIMScheduler.__init__).parameters
    fields = {key: value for key, value in meant.items() if key in known}
    fields.setdefault("clip_sample", False)
    fields.setdefault("set_alpha_to_one", _ends_clean(name, meant))
    fields.setdefault("thresholding", False)
    # DDIM's `linspace` steps by whole fractions of the timesteps, past those that it tells the
    # network; `trailing` begins at the same timestep and steps to those.
    if meant.get("timestep_spacing", "linspace") == "linspace":
        fields["timestep_spacing"] = "trailing"
    return DDIMScheduler(**fields)


def other_sampler(name: str, scheduler: DDIMScheduler) -> Any:
    """The sampler of that name for the same process; `ConfigError` if there is none."""
    if name not in _SAMPLERS:
        raise ConfigError(
            f"There is no scheduler called {name!r}; choose one of {', '.join(SCHEDULERS)}."
        )
    class_name, options = _SAMPLERS[name]
    return getattr(diffusers, class_name).from_config(scheduler.config, **options)


def _defaults(name: str) -> dict[str, Any]:
    """What a scheduler class means by a value that is left out."""
    of = "KDPM2DiscreteScheduler" if name == _NO_DPM_SDE else name
    parameters = inspect.signature(getattr(diffusers, of).__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _ends_clean(name: str, meant: Mapping[str, Any]) -> bool:
    """Whether the class's last step ends at clean latents, or at the least noise it knows."""
    if name in _STOP_AT_SIGMA_MIN:
        return False
    return meant.get("final_sigmas_type", "zero") == "zero"
