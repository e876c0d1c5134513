"""Diversity, text alignment and quality of images (App. F), by the judge and by published models.

Figures are called `<what>_<by whom>`. The judge's are of the tiny world alone: its features for
the in-batch diversity, its margins for the rest. CLIP, BLIP and ImageReward, as in the paper, are
used where their weights are given; the bundled results have none of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from hero_engine.errors import ModelNotFound
from hero_engine.feedback.metrics import in_batch_diversity
from tinyworld.data import to_tensor
from tinyworld.judge import MARGIN_LIMIT, Judge
from tinyworld.tasks import task

Figures = dict[str, float]
Look = Callable[[Sequence[Image.Image], str], Figures]
"""Images and the prompt that they are to show -> what they look like."""


def by_judge(judge: Judge) -> Look:
    """In-batch diversity of its features; mean margins of the prompt's conditions, of cleanness."""

    @torch.no_grad()
    def look(images: Sequence[Image.Image], prompt: str) -> Figures:
        pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
        features = torch.cat([judge.features(part) for part in to_tensor(pixels).split(64)])
        logits = judge.logits(images)
        asked = [pair for pair in task(prompt).conditions.items() if pair[0] != "clean"]
        alignment = torch.stack([margin(judge, logits, head, value) for head, value in asked])
        return {
            "diversity_judge": in_batch_diversity(features) or 0.0,
            "alignment_judge": float(alignment.mean()),
            "quality_judge": float(margin(judge, logits, "clean", "yes").mean()),
        }

    return look


def margin(
    judge: Judge, logits: Mapping[str, Tensor], head: str, value: str
) -> Float[Tensor, " batch"]:
    """The value's logit less its best rival's, clamped to +-8, as in `Judge.quality`."""
    index = judge.values[head].index(value)
    rivals = logits[head].clone()
    rivals[:, index] = -torch.inf
    return (logits[head][:, index] - rivals.amax(1)).clamp(-MARGIN_LIMIT, MARGIN_LIMIT)


def by_clip(path: str) -> Look:
    """CLIP's in-batch diversity and its cosine of image and prompt, by transformers."""
    from transformers import CLIPModel, CLIPProcessor

    model, processor = _loaded(path, CLIPModel, CLIPProcessor)

    @torch.no_grad()
    def look(images: Sequence[Image.Image], prompt: str) -> Figures:
        inputs = processor(
            images=list(images), text=[prompt], padding=True, truncation=True, return_tensors="pt"
        )
        found = model(**inputs)
        pictures = torch.nn.functional.normalize(found.image_embeds, dim=1)
        words = torch.nn.functional.normalize(found.text_embeds, dim=1)[0]
        return {
            "diversity_clip": in_batch_diversity(pictures) or 0.0,
            "alignment_clip": float((pictures @ words).mean()),
        }

    return look


def by_blip(path: str) -> Look:
    """BLIP's probability that image and prompt match, by transformers."""
    from transformers import BlipForImageTextRetrieval, BlipProcessor

    model, processor = _loaded(path, BlipForImageTextRetrieval, BlipProcessor)

    @torch.no_grad()
    def look(images: Sequence[Image.Image], prompt: str) -> Figures:
        matches = []
        for image in images:
            inputs = processor(images=image, text=prompt, truncation=True, return_tensors="pt")
            matches.append(float(model(**inputs).itm_score.softmax(1)[0, 1]))
        return {"alignment_blip": statistics.mean(matches)}

    return look


def by_image_reward(path: str) -> Look:
    """ImageReward's score, by its authors' package `image-reward`, which is not a dependency."""
    try:
        import ImageReward
    except ImportError as error:
        raise ModelNotFound(
            f"ImageReward's weights {path!r} need the package image-reward, which cannot be "
            f"imported ({error}); install it, or leave the option out."
        ) from error
    model = ImageReward.load(path)

    def look(images: Sequence[Image.Image], prompt: str) -> Figures:
        scores = [float(model.score(prompt, image)) for image in images]
        return {"quality_image_reward": statistics.mean(scores)}

    return look


MODELS: dict[str, Callable[[str], Look]] = {
    "clip": by_clip,
    "blip": by_blip,
    "image-reward": by_image_reward,
}
"""Published models by the name of the option that gives their weights."""


def looks(judge: Judge, models: Mapping[str, str]) -> list[Look]:
    """The judge's, and those of the models whose weights are given, by name."""
    return [by_judge(judge), *(MODELS[name](path) for name, path in models.items())]


def _loaded(path: str, model_class: type[Any], processor_class: type[Any]) -> tuple[Any, Any]:
    try:
        model = model_class.from_pretrained(path)
        processor = processor_class.from_pretrained(path)
    except (OSError, ValueError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelNotFound(
            f"The model {path!r} cannot be loaded ({first_line.rstrip('.')}); give the folder of "
            f"a {model_class.__name__} with its processor."
        ) from error
    return model.requires_grad_(False).eval(), processor
