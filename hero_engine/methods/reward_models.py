"""Rewards by name: published models of what people prefer."""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from hero_engine import processes
from hero_engine.errors import ConfigError, ModelNotFound
from hero_engine.methods.reward_ddpo_settings import RewardDdpoSettings

PICKSCORE = "yuvalkirstain/PickScore_v1"


def load_reward(
    settings: RewardDdpoSettings,
) -> Callable[[list[Image.Image], list[str]], list[float]]:
    """The reward that `reward_model` names. Raises `ConfigError`, `ModelNotFound`."""
    check_reward(settings)
    return pickscore(settings.reward_model_path or PICKSCORE)


def check_reward(settings: RewardDdpoSettings) -> None:
    """See that a reward is named. Raises `ConfigError`."""
    if settings.reward_model is None:
        raise ConfigError(
            "The method ddpo needs a reward and none is named; set reward_model to pickscore, or "
            "give Method.create and Method.resume a reward of your own."
        )


def pickscore(path: str) -> Callable[[list[Image.Image], list[str]], list[float]]:
    """PickScore (Kirstain et al., 2023): CLIP's scaled cosine similarity of image and prompt.

    Any CLIP model in transformers' format, by folder or hub id, with its processor beside it.
    Tested with a CLIP of random weights; the published weights (4 GB) were not run here.
    """
    from transformers import CLIPModel, CLIPProcessor

    try:
        model: Any = CLIPModel.from_pretrained(path)
        processor: Any = CLIPProcessor.from_pretrained(path)
    except (OSError, ValueError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelNotFound(
            f"The reward model {path!r} cannot be loaded ({first_line.rstrip('.')}); set "
            "reward_model_path to the folder of a CLIP model with its processor."
        ) from error
    device = processes.device()
    model.requires_grad_(False).eval().to(device)

    @torch.no_grad()
    def reward(images: list[Image.Image], prompts: list[str]) -> list[float]:
        scores = []
        for image, prompt in zip(images, prompts, strict=True):
            inputs = processor(
                images=image, text=prompt, padding=True, truncation=True, return_tensors="pt"
            ).to(device)
            scores.append(float(model(**inputs).logits_per_image[0, 0]))
        return scores

    return reward
