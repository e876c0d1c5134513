"""The runs of a life, as small as they can be: an epoch takes about a second."""

from typing import Any

from backend import engine

EPOCHS = 5
RUNS = 3
"""At once, so that something goes on while one of them waits."""
_SMALL: dict[str, Any] = {
    "model": "tiny",
    "images_per_epoch": 4,
    "epochs": EPOCHS,
    "num_inference_steps": 2,
    "minibatch_size": 4,
    "sample_batch_size": 4,
    "forward_batch_size": 4,
    "lora_rank": 2,
    "embedding_steps": 3,
    "trained_steps": 1,
    "denoising_steps": 2,
}
METHODS = ("hero", "hero+")


def configuration(number: int) -> dict[str, Any]:
    """Of the run with that number: another seed, and each second one another method."""
    method = METHODS[number % len(METHODS)]
    fields = {**_SMALL, "method": method, "prompt": f"{number + 1} roses", "seed": number}
    foreign = engine.foreign_settings(None, fields)
    kept = {name: value for name, value in fields.items() if name not in foreign}
    return engine.make_config(**kept).flat()
