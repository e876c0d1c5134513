"""Methods that learn from the denoising steps of the batch."""

from typing import TypeVar

from jaxtyping import Int
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.diffusion.sampling import Transitions, draw_trained_steps
from hero_engine.errors import CheckpointError
from hero_engine.methods.base import Method
from hero_engine.methods.shared_settings import TrajectorySettings
from hero_engine.storage.batch import Batch

Settings = TypeVar("Settings", bound=TrajectorySettings)


class TrajectoryMethod(Method[Settings]):
    """Its batches keep the transitions of K steps per image."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.trained_steps = self.schedule.check_trainable(self.settings.trained_steps)

    def _trained_steps(self, n: int) -> Int[Tensor, "n trained"]:
        return draw_trained_steps(
            self.schedule,
            n,
            self.trained_steps,
            self.settings.trained_steps_choice,
            self._stream("trained steps"),
        )


def transitions_of(batch: Batch) -> Transitions:
    """The batch's. Raises `CheckpointError` if it has none."""
    if batch.transitions is None:
        raise CheckpointError(
            f"The batch of epoch {batch.epoch} has no transitions to learn from: another method "
            "drew it; remove it and draw the epoch again."
        )
    return batch.transitions
