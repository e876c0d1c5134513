"""Named sets of settings: the bundled tiny model's, and the tasks of the paper's Table 1."""

from typing import Any

from hero_engine.config import RunConfig
from hero_engine.errors import ConfigError
from hero_engine.methods.make_config import foreign_settings, make_config
from hero_engine.methods.table import METHODS

STABLE_DIFFUSION_1_5 = "stable-diffusion-v1-5/stable-diffusion-v1-5"

_PAPER: dict[str, Any] = {"model": STABLE_DIFFUSION_1_5}

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "model": "tiny",
        "method": "hero+",
        "prompt": "photo of one blue rose in a vase",
        "num_inference_steps": 20,
        "guidance_scale": 3.0,
        "sample_batch_size": 32,
        "best_image_ratio": 0.0,
        "noise_variance": 0.03,
        "embedding_lr": 1e-3,
        "embedding_steps": 120,
        "learning_rate": 5e-3,
        "trained_steps": 10,
        "forward_batch_size": 40,
        "inner_epochs": 2,
    },
    "hand": {
        **_PAPER,
        "prompt": "1 hand",
        "num_inference_steps": 20,
        "images_per_epoch": 128,
        "epochs": 9,
        "minibatch_size": 16,
    },
    "blue-rose": {**_PAPER, "prompt": "photo of one blue rose in a vase"},
    "black-cat": {**_PAPER, "prompt": "a black cat sitting inside a cardboard box"},
    "narcissus": {
        **_PAPER,
        "prompt": "narcissus by a quiet spring and its reflection in the water",
    },
    "mountain": {**_PAPER, "prompt": "beautiful mountains viewed from a train window"},
}
"""Flat settings by preset name. Those that belong to another method than the run's are left out."""


def preset(name: str, **overrides: Any) -> RunConfig:
    """The configuration of a named preset, with some settings replaced, for the method that is
    asked for or else the preset's own.

    Raises `ConfigError` for an unknown name and for a setting that cannot be used.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"There is no preset called {name!r}; choose one of {', '.join(PRESETS)}."
        )
    fields = PRESETS[name]
    method = overrides.get("method", fields.get("method", "hero"))
    if isinstance(method, str) and method in METHODS:
        foreign = foreign_settings(method)
        fields = {each: value for each, value in fields.items() if each not in foreign}
    return make_config(**{**fields, **overrides})
