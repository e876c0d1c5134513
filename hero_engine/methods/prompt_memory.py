"""What a run remembers of one prompt."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from hero_engine.feedback.embedding import Embedding
from hero_engine.feedback.noise_bank import NoiseBank


@dataclass
class PromptMemory:
    """E, the noises of good images (Eq. 5) and the image that rewards are measured by (Eq. 4)."""

    embedding: Embedding
    embedding_trained: bool = False
    bank: NoiseBank | None = None
    """None before there are good images."""
    anchor: Float[Tensor, "channel height width"] | None = None
    positives: Float[Tensor, "good channel height width"] | None = None

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """By the file of the checkpoint."""
        noise = {"anchor": self.anchor, "positives": self.positives}
        if self.bank is not None:
            noise |= {"good": self.bank.good, "best": self.bank.best}
        return {
            "embedding": self.embedding.state_dict(),
            "noise": {name: tensor for name, tensor in noise.items() if tensor is not None},
        }

    def restore(self, tensors: Mapping[str, dict[str, Tensor]], *, embedding_trained: bool) -> None:
        """Put back what `tensors` gave."""
        self.embedding.load_state_dict(tensors["embedding"])
        self.embedding_trained = embedding_trained
        noise = tensors["noise"]
        self.bank = NoiseBank(noise["good"], noise.get("best")) if "good" in noise else None
        self.anchor, self.positives = noise.get("anchor"), noise.get("positives")


def of_prompt(number: int) -> str:
    """Begins the names of a checkpoint's files for that prompt of the run: nothing for the first,
    whose files have the names that those of a run of one prompt have."""
    return f"prompt-{number}-" if number else ""
