"""Latents of several prompts in one pass through the network."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from hero_engine.models.base import Condition, Family


def predict_captioned(
    family: Family,
    z_t: Tensor,
    timesteps: Tensor,
    conditions: Sequence[Condition],
    captions: Int[Tensor, " batch"],
    guidance_scale: float,
) -> Tensor:
    """`Family.predict` of latents [batch channel height width] that have the prompts
    `conditions[captions]`; differentiable.

    In one pass where all prompts are encoded to the same length, else in one pass a prompt.
    """
    captions = captions.to(z_t.device)
    if len({_lengths(condition) for condition in conditions}) == 1:
        joined = {
            name: torch.cat([condition[name] for condition in conditions])[captions]
            for name in conditions[0]
        }
        return family.predict(z_t, timesteps, joined, guidance_scale)
    order = captions.argsort(stable=True)
    counts = captions.bincount(minlength=len(conditions)).tolist()
    parts = [
        family.predict(z_t[rows], timesteps[rows], condition, guidance_scale)
        for condition, rows in zip(conditions, order.split(counts), strict=True)
        if len(rows)
    ]
    return torch.cat(parts)[order.argsort()]


def _lengths(condition: Condition) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tuple(part.shape)) for name, part in sorted(condition.items()))
