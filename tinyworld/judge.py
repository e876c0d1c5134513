"""The judge: a network that says what an image shows, and how cleanly."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tinyworld.bundled import JUDGE
from tinyworld.data import to_tensor
from tinyworld.subjects import subjects
from tinyworld.tasks import Task, task
from tinyworld.world import COMMON_ATTRIBUTES

JUNK = "junk"
MARGIN_LIMIT = 8.0


class Judge(nn.Module):
    """Convolutions, and one linear head for the subject, for cleanness, for each attribute."""

    def __init__(self, heads: dict[str, list[str]]) -> None:
        """`heads`: name -> its values; see `heads_of_the_world`."""
        super().__init__()
        self.values = heads
        layers: list[nn.Module] = []
        for width, out, stride in (
            (3, 16, 1),
            (16, 32, 2),
            (32, 32, 1),
            (32, 64, 2),
            (64, 64, 1),
            (64, 96, 2),
            (96, 96, 1),
            (96, 128, 2),
        ):
            layers += [
                nn.Conv2d(width, out, 3, stride, 1),
                nn.GroupNorm(8, out),
                nn.SiLU(),
            ]
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 128), nn.SiLU())
        self.heads = nn.ModuleDict(
            {name.replace(".", "-"): nn.Linear(128, len(values)) for name, values in heads.items()}
        )

    @classmethod
    def load(cls, path: Path = JUDGE) -> "Judge":
        """The trained judge, in evaluation mode and single precision."""
        with safe_open(path, framework="pt") as stored:
            judge = cls(json.loads(stored.metadata()["heads"]))
            weights = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118
        judge.load_state_dict(weights)
        return judge.requires_grad_(False).eval()

    def save(self, path: Path = JUDGE) -> None:
        """Writes the weights in half precision, with the heads' names and values."""
        weights = {name: value.half().contiguous() for name, value in self.state_dict().items()}
        save_file(weights, path, metadata={"heads": json.dumps(self.values)})

    def forward(
        self, images: Float[Tensor, "batch 3 64 64"]
    ) -> dict[str, Float[Tensor, "batch values"]]:
        """Logits of every head for images in [-1, 1]."""
        features = self.features(images)
        return {name: self.heads[name.replace(".", "-")](features) for name in self.values}

    @torch.no_grad()
    def logits(self, images: Sequence[Image.Image]) -> dict[str, Float[Tensor, "batch values"]]:
        """As `forward`, for pictures of any size; each is brought to 64 x 64."""
        small = [image.convert("RGB").resize((64, 64), Image.Resampling.BOX) for image in images]
        parts = to_tensor(np.stack([np.asarray(image) for image in small])).split(64)
        answers = [self(part) for part in parts]
        return {name: torch.cat([answer[name] for answer in answers]) for name in self.values}

    def describe(self, images: Sequence[Image.Image]) -> list[dict[str, str]]:
        """For each image the likeliest value of every head that concerns its subject."""
        likeliest = {
            name: logits.argmax(1).tolist() for name, logits in self.logits(images).items()
        }
        found = []
        for index in range(len(images)):
            said = {name: self.values[name][likeliest[name][index]] for name in self.values}
            own = said["subject"] + "."
            found.append(
                {
                    name: value
                    for name, value in said.items()
                    if "." not in name or name.startswith(own)
                }
            )
        return found

    def success(self, images: Sequence[Image.Image], prompt: str | Task) -> list[bool]:
        """Whether each image meets the conditions of the prompt, or of a task of one's own: its
        subject, every attribute that the task names, and cleanness, each the likeliest answer of
        its head.

        Raises:
            UnknownPrompt: no subject has conditions for this prompt.
        """
        margins = self._margins(images, task(prompt))
        return (margins > 0).all(1).tolist()

    def quality(self, images: Sequence[Image.Image], prompt: str | Task) -> list[float]:
        """How well and how cleanly: the mean over the task's conditions and cleanness of the
        logit's margin over its best rival, each clamped to +-8.

        Raises:
            UnknownPrompt: no subject has conditions for this prompt.
        """
        margins = self._margins(images, task(prompt))
        return margins.clamp(-MARGIN_LIMIT, MARGIN_LIMIT).mean(1).tolist()

    def _margins(
        self, images: Sequence[Image.Image], wanted: Task
    ) -> Float[Tensor, "batch conditions"]:
        logits = self.logits(images)
        columns = []
        for name, value in wanted.conditions.items():
            index = self.values[name].index(value)
            rivals = logits[name].clone()
            rivals[:, index] = -torch.inf
            columns.append(logits[name][:, index] - rivals.amax(1))
        return torch.stack(columns, dim=1)


def heads_of_the_world() -> dict[str, list[str]]:
    """The judge's heads: `subject`, `clean`, `stamp`, `<subject>.<attribute>` for each subject."""
    found = subjects()
    heads = {"subject": [*found, JUNK], "clean": ["no", "yes"]}
    heads |= {name: list(values) for name, values in COMMON_ATTRIBUTES.items()}
    for name, subject in found.items():
        for attribute, values in subject.attributes.items():
            heads[f"{name}.{attribute}"] = list(values)
    return heads
