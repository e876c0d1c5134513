"""The bundled pipeline, as any diffusers pipeline is used."""

import json
import logging

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from hero_engine.presets import PRESETS
from tinyworld.bundled import JUDGE, PIPELINE
from tinyworld.generate import generate, load_pipeline
from tinyworld.judge import Judge
from tinyworld.tasks import tasks

PROMPT = "photo of one blue rose in a vase"


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    return load_pipeline()


def test_all_weights_together_are_at_most_12_megabytes() -> None:
    files = [JUDGE, *PIPELINE.rglob("*.safetensors")]
    assert sum(file.stat().st_size for file in files) <= 12_000_000
    assert not [*PIPELINE.rglob("*.bin"), *PIPELINE.rglob("*.pt")]


def test_it_is_a_plain_stable_diffusion_pipeline(pipeline: StableDiffusionPipeline) -> None:
    index = json.loads((PIPELINE / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    assert pipeline.safety_checker is None
    assert pipeline.feature_extractor is None
    assert pipeline.unet.dtype == torch.float32
    assert pipeline.tokenizer.model_max_length == 20
    assert pipeline.scheduler.__class__.__name__ == "DDIMScheduler"


def test_the_words_of_every_task_are_one_token_each(pipeline: StableDiffusionPipeline) -> None:
    for prompt in tasks():
        assert len(pipeline.tokenizer(prompt).input_ids) == len(prompt.split()) + 2
    assert len(pipeline.tokenizer("zebra").input_ids) > 3


def test_the_latent_space_has_unit_deviation(pipeline: StableDiffusionPipeline) -> None:
    from tinyworld import world
    from tinyworld.judge_training import encoded

    images = np.stack([np.asarray(scene.image) for scene in world.scenes(64, 90_001)])
    latents = encoded(pipeline.vae, images)
    assert latents.shape == (64, 4, 16, 16)
    assert latents.std((0, 2, 3)).tolist() == pytest.approx([1] * 4, abs=0.1)
    assert pipeline.vae.config.scaling_factor == 1


def test_images_are_the_same_for_a_seed_and_show_what_was_asked(
    pipeline: StableDiffusionPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        images = generate(pipeline, PROMPT, 4, steps=10, seed=3)
    again = generate(pipeline, PROMPT, 4, steps=10, seed=3)
    assert all(
        first.tobytes() == second.tobytes() for first, second in zip(images, again, strict=True)
    )
    assert images[0].size == (64, 64)
    said = Judge.load().describe(images)
    assert sum(found["subject"] == "rose" for found in said) >= 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "paper"),
    [
        ("hand", 0.119),
        ("blue-rose", 0.354),
        ("black-cat", 0.422),
        ("narcissus", 0.406),
        ("mountain", 0.412),
    ],
)
def test_the_pretrained_model_succeeds_as_often_as_in_the_paper(
    pipeline: StableDiffusionPipeline, task: str, paper: float
) -> None:
    """SD-pretrained, Table 2: within 0.08, and two deviations of a sample's rate."""
    prompt = PRESETS[task]["prompt"]
    images = generate(pipeline, prompt, 256, steps=20, seed=11)
    rate = np.mean(Judge.load().success(images, prompt))
    deviation = np.sqrt(rate * (1 - rate) / 256)
    assert abs(rate - paper) < 0.08 + 2 * deviation
