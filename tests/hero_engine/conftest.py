"""Fixtures of the engine's tests; every tensor's shape is checked while they run."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import accelerate  # noqa: F401  before the hook, under which nothing imported is cached
import peft  # noqa: F401
from diffusers import DDIMScheduler, StableDiffusionPipeline  # noqa: F401
from diffusers.utils.torch_utils import randn_tensor  # noqa: F401
from jaxtyping import install_import_hook

with install_import_hook("hero_engine", "beartype.beartype"):
    from hero_engine.config import RunConfig
    from hero_engine.methods import make_config as configs
    from hero_engine.methods.hero import Hero
    from hero_engine.methods.table import METHODS
    from hero_engine.models.families import FAMILIES

    for home in [*FAMILIES.values(), *(entry.code for entry in METHODS.values())]:
        importlib.import_module(home.split(":")[0])

from tests.hero_engine.tiny import MAKERS


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pipeline of each family, by the family's short name."""
    folder = tmp_path_factory.mktemp("models")
    return {name: make(folder / name) for name, make in MAKERS.items()}


@pytest.fixture(scope="session")
def pipeline(pipelines: dict[str, Path]) -> Path:
    return pipelines["sd"]


@pytest.fixture
def make_config(pipeline: Path) -> Callable[..., RunConfig]:
    def make(**overrides: object) -> RunConfig:
        small = {
            "model": str(pipeline),
            "prompt": "one rose",
            "seed": 3,
            "images_per_epoch": 8,
            "epochs": 3,
            "num_inference_steps": 4,
            "sample_batch_size": 3,
            "embedding_lr": 1e-3,
            "embedding_steps": 5,
            "trained_steps": 2,
            "minibatch_size": 4,
            "forward_batch_size": 8,
        }
        of = METHODS[str(overrides.get("method", "hero"))].settings.model_fields
        others = {n for entry in METHODS.values() for n in entry.settings.model_fields} - set(of)
        fields = {name: value for name, value in small.items() if name not in others}
        return configs.make_config(**{**fields, **overrides})

    return make


@pytest.fixture
def hero(make_config: Callable[..., RunConfig]) -> Hero:
    return Hero.create(make_config())
