"""From the seconds of single passes to those of an epoch: arithmetic alone."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Costs:
    """Seconds of each kind of work, for one unit of it, at the batch sizes that were found."""

    image_step: float
    """One denoising step of one image."""
    decode: float
    """One image from its latent."""
    latent: float = 0.0
    """One latent forward and backward."""
    embedding_step: float = 0.0
    """One optimizer step on E (Eq. 3)."""


@dataclass(frozen=True)
class Work:
    """How much of each there is in an epoch."""

    images: int
    steps: int
    """Denoising steps of an image."""
    latents: int = 0
    scored: int = 0
    """Latents that go forward alone while learning."""
    embedding_steps: int = 0


FORWARD_SHARE = 0.5
"""Of a pass forward and backward, what the forward half takes: the network's own weights are frozen
and get no gradient, so going back costs about as much as going forward."""


def drawing_seconds(costs: Costs, work: Work) -> float:
    """Of an epoch's images: all their denoising steps, and decoding them."""
    return work.images * (work.steps * costs.image_step + costs.decode)


def learning_seconds(costs: Costs, work: Work) -> float:
    """Of learning from them, without what is drawn once in a run (`prior_images`)."""
    passes = work.latents + FORWARD_SHARE * work.scored
    return passes * costs.latent + work.embedding_steps * costs.embedding_step


@dataclass(frozen=True)
class Forecast:
    """What an epoch of a run takes on the machine where it was tried."""

    drawing_seconds: float
    learning_seconds: float
    peak_bytes: int
    """Largest memory in use: of the GPU's allocator, or else of the process."""
    memory_bytes: int
    """All that the device has."""
    device: str
    """`CPU`, or the GPU's name."""
    images_at_once: int
    latents_at_once: int | None
    """None for methods that do not train."""

    @property
    def epoch_seconds(self) -> float:
        """Drawing and learning; people's time comes on top."""
        return self.drawing_seconds + self.learning_seconds

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return asdict(self)
