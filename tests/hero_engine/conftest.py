"""Fixtures of the engine's tests; every tensor's shape is checked while they run."""

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
    from hero_engine.config import HeroConfig
    from hero_engine.methods.hero import Hero

from tests.hero_engine.tiny import save_pipeline


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def make_config(pipeline: Path) -> Callable[..., HeroConfig]:
    def make(**overrides: object) -> HeroConfig:
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
        return HeroConfig(**{**small, **overrides})

    return make


@pytest.fixture
def hero(make_config: Callable[..., HeroConfig]) -> Hero:
    return Hero.create(make_config())
