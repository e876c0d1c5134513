"""The paper's own figures (Hiranaka et al., ICLR 2025), as far as its text gives them.

They were measured on Stable Diffusion 1.5 by people and stand beside ours for comparison of the
order, not of the values. What the paper shows only in a plot or in a table that we have no text of
is left out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One of the paper's figures."""

    value: float
    where: str

    def text(self) -> str:
        """Such as `0.81`."""
        return f"{self.value:.3f}"


def published(where: str, **values: float) -> dict[str, Published]:
    """Figures that stand in the same place, by task or setting; `black_cat` is black-cat."""
    return {name.replace("_", "-"): Published(value, where) for name, value in values.items()}


SUCCESS: dict[str, dict[str, Published]] = {
    "pretrained": {
        **published("Sec. 5.1", hand=0.119),
        **published("Table 4", blue_rose=0.354, black_cat=0.422, narcissus=0.406, mountain=0.412),
    },
    "enhanced prompt": published("Sec. 5.1", hand=0.075),
    "dreambooth": published("Sec. 5.1", hand=0.28),
    "d3po": published("Sec. 5.1, 5,000 labels", hand=0.333),
    "ddpo": published("Table 4", blue_rose=0.710, black_cat=0.555, narcissus=0.615, mountain=0.375),
    "hero": {
        **published("Sec. 5.1, 1,152 labels", hand=0.342),
        **published("Table 4", blue_rose=0.807, black_cat=0.750, narcissus=0.912, mountain=0.995),
    },
}
"""Success by method and task (Sec. 5.1 and 5.2; App. B.1)."""

REWARDS: dict[str, Published] = {
    name: Published(value, "Sec. 5.3.1")
    for name, value in {
        "best": 0.91,
        "positives": 0.82,
        "binary": 0.78,
        "no-embedding": 0.76,
    }.items()
}
"""Success on narcissus by reward design (Table 3)."""

BEST_IMAGE_RATIO: dict[float, Published] = {1.0: Published(0.708, "Sec. 5.3.2")}
"""Success on black-cat at the end of the training by beta (Figure 5)."""

FASTER_AT_5 = Published(4, "App. B.2")
"""How many times faster the training of an epoch is with K = 5 than with all steps (Table 5)."""

FEWER_LABELS = Published(4, "Sec. 5.1")
"""How many times more labels D3PO needs than HERO for the same success on hand (Figure 3)."""

SAFE = {"pretrained": Published(0.575, "Sec. 5.4"), "hero": Published(0.870, "Sec. 5.4")}
"""Share of safe images on 14 prompts, the model trained on another one."""
