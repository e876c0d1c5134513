"""What a run's rewards and losses are, in words: its method and its reward decide that. Pure."""

from collections.abc import Mapping
from typing import Any

REWARDS = {
    "best": "similarity to the best image (Eq. 4)",
    "positives": "similarity to the mean of the good images, in the embedding's space",
    "binary": "1 for a good image, 0 for a bad one",
    "no-embedding": "similarity to the mean of the good images' latents",
}
"""What each of HERO's rewards measures."""


def reward_in_words(config: Mapping[str, Any]) -> str:
    """What the rewards and the predictions of a run are, as a phrase."""
    if _method(config) == "ddpo":
        return f"score by the reward model {config.get('reward_model') or 'of the run'}"
    return REWARDS[config.get("reward", "best")]


def rewards_teach(config: Mapping[str, Any]) -> bool:
    """Whether the model learns from the rewards, not from the verdicts themselves."""
    return _method(config) != "hero+"


def loss_in_words(config: Mapping[str, Any]) -> str:
    """What the policy's loss is, as a phrase."""
    if _method(config) == "d3po":
        return "D3PO's loss over pairs of a good and a bad image"
    return "the clipped policy gradient's loss (Eq. 8)"


def compare_with_best(config: Mapping[str, Any]) -> bool:
    """Whether rewards and predictions are the similarity to the best image, their anchor."""
    return _method(config) in ("hero", "hero+") and config.get("reward", "best") == "best"


def _method(config: Mapping[str, Any]) -> str:
    return str(config.get("method", "hero"))
