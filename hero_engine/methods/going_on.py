"""A new run that begins where another one stands.

It begins with the LoRA that people get of the other run, and with a fresh optimizer. Whatever a
method compares its model with stays the model without any LoRA: hero+ holds a run that goes on to
the same pretrained model as the run before it, or a chain of runs could drift as far as it likes.
"""

from pathlib import Path
from typing import Any

from hero_engine.config import RunConfig
from hero_engine.errors import ConfigError
from hero_engine.methods.base import Method, class_of
from hero_engine.storage.checkpoint import Checkpoint


def go_on_from(
    checkpoint: Path, config: RunConfig, *, with_labels: bool = False, **parts: Any
) -> Method[Any]:
    """A run at its beginning, with the model of another run's checkpoint.

    Args:
        with_labels: learn from what was judged in that run, too (see `Method.recall`).
        parts: as of `Method.create`.

    Raises:
        ConfigError: the LoRA is of another model or rank, or the labels cannot be taken over.
        CheckpointError, ModelNotFound
    """
    saved = Checkpoint.load(checkpoint)
    theirs = str(saved.config.get("method", "hero"))
    lora = class_of(theirs).lora_for_people(saved)
    run = Method.create(config, **parts)
    shapes = {name: tuple(tensor.shape) for name, tensor in run.policy.lora_state().items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in lora.items()}:
        raise ConfigError(
            f"The run cannot go on from {checkpoint}: its LoRA is of another model or another "
            "lora_rank; leave both as they were there."
        )
    run.policy.load_lora_state(lora)
    if with_labels:
        if theirs != run.settings.name:
            raise ConfigError(
                f"The run cannot go on with earlier labels, since the method was {theirs} there "
                f"and is {run.settings.name} here; leave --with-labels out, or the method."
            )
        run.recall(saved)
    return run
