"""The feedback-aligned embedding of clean latents (paper, Sec. 4.2.1, Eq. 3 and App. D.2)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (16, 32, 64)
LARGEST_SIDE = 64
"""Latents larger than the paper's are averaged down to this side, or less, before E sees them: its
width grows with the area, and at 128 x 128 it would have 445 million parameters."""


class Embedding(nn.Module):
    """E, the embedding, and g, the projection head that only the loss sees.

    E is three 3 x 3 convolutions with ReLU, each followed by 2 x 2 max-pooling, and one dense layer
    as wide as what it reads: latents of 4 x 64 x 64 become 8 x 8 x 64 features and an embedding of
    4096, and g has the widths [4096, 2048, 1024, 512] (App. D.2). Other latents follow the same
    rule: every side is halved three times (rounded up), d = 64 * ceil(H / 8) * ceil(W / 8), and
    g has the widths [d, d / 2, d / 4, d / 8]; 4 x 16 x 16 gives d = 256. Latents with a side above
    `largest_side` are first halved by 2 x 2 means until they have none; None never does that.

    Rewards are measured in E's space, the loss in g's.
    """

    def __init__(
        self, latent_shape: tuple[int, int, int], largest_side: int | None = LARGEST_SIDE
    ) -> None:
        super().__init__()
        channels, height, width = latent_shape
        layers: list[nn.Module] = []
        while largest_side is not None and max(height, width) > largest_side:
            layers.append(nn.AvgPool2d(2, ceil_mode=True))
            height, width = -(-height // 2), -(-width // 2)
        for before, after in zip((channels, *CHANNELS), CHANNELS, strict=False):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2, ceil_mode=True)]
        dim = CHANNELS[-1] * -(-height // 8) * -(-width // 8)
        self.embed = nn.Sequential(*layers, nn.Flatten(), nn.Linear(dim, dim))
        self.project = nn.Sequential(
            nn.Linear(dim, dim // 2),
            nn.ReLU(),
            nn.Linear(dim // 2, dim // 4),
            nn.ReLU(),
            nn.Linear(dim // 4, dim // 8),
        )

    def forward(
        self, latents: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch feature"]:
        """E(z_0): the representation in which rewards are measured."""
        return self.embed(latents)

    def head(
        self, latents: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch projected"]:
        """g(E(z_0)): what the triplet loss of Eq. 3 compares."""
        return self.project(self.embed(latents))


def cosine_distance(
    points: Float[Tensor, "batch feature"], anchor: Float[Tensor, " feature"]
) -> Float[Tensor, " batch"]:
    """1 - cos(point, anchor), in [0, 2]."""
    return 1.0 - F.cosine_similarity(points, anchor.expand_as(points), dim=1)


def triplet_losses(
    anchor: Float[Tensor, " feature"],
    good: Float[Tensor, "good feature"],
    bad: Float[Tensor, "bad feature"],
    margin: float,
) -> Float[Tensor, "good bad"]:
    """max(d(best, good) - d(best, bad) + alpha, 0) for every pair (Eq. 3), d the cosine distance.

    Eq. 3 is printed with a similarity S where a distance is meant: as printed, minimising it would
    push the good images away from the best one.
    """
    d_good, d_bad = cosine_distance(good, anchor), cosine_distance(bad, anchor)
    return (d_good[:, None] - d_bad[None, :] + margin).clamp(min=0.0)


def train_embedding(
    embedding: Embedding,
    best: Float[Tensor, "channel height width"],
    good: Float[Tensor, "good channel height width"],
    bad: Float[Tensor, "bad channel height width"],
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    margin: float,
    generator: torch.Generator,
    on_step: Callable[[int], None] | None = None,
) -> float:
    """Minimise Eq. 3 over all (good, bad) pairs with Adam; the mean loss of the last step's pairs.

    A step sees all pairs, or `batch_size` of them drawn anew where there are more. Trains
    `embedding` in place; Adam starts afresh, so nothing but the weights outlives the call.
    """
    optimizer = torch.optim.Adam(embedding.parameters(), lr=learning_rate)
    latents = torch.cat([best[None], good, bad])
    pairs = len(good) * len(bad)
    loss = latents.new_zeros(())
    for step in range(steps):
        projected = embedding.head(latents)
        losses = triplet_losses(
            projected[0], projected[1 : 1 + len(good)], projected[1 + len(good) :], margin
        ).flatten()
        if pairs > batch_size:
            chosen = torch.randperm(pairs, generator=generator)[:batch_size]
            losses = losses[chosen.to(losses.device)]
        loss = losses.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if on_step is not None:
            on_step(step + 1)
    return float(loss.detach())
