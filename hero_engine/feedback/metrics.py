"""What a batch is worth: success rate and in-batch diversity (paper, Sec. 5 and App. F)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def success_rate(good: Sequence[bool | None]) -> float | None:
    """Share of the judged images that are good; None where nothing was judged."""
    judged = [verdict for verdict in good if verdict is not None]
    return sum(judged) / len(judged) if judged else None


def mean_of(values: Sequence[float | None]) -> float | None:
    """Of those that exist; None for none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def in_batch_diversity(features: Float[Tensor, "batch feature"]) -> float | None:
    """D = 1 - 2 / (N (N - 1)) sum_{i<j} cos(f_i, f_j)  (App. F); None for fewer than two.

    The paper takes CLIP features; the engine's reports take flattened clean latents z_0, which need
    no second model. Values of one are not comparable with values of the other.
    """
    n = len(features)
    if n < 2:
        return None
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    total = unit.sum(dim=0).square().sum() - unit.square().sum()
    return 1.0 - float(total) / (n * (n - 1))
