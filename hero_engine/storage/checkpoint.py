"""Everything a run needs to go on, in one folder, whole or not at all, and without pickle.

    state.json            format version, configuration, counters, a checksum of every other file
    lora.safetensors      the LoRA matrices
    optimizer.safetensors AdamW's moments and step counts, by parameter
    ...                   what else the method has to remember: HERO adds
    embedding.safetensors E and its projection head
    noise.safetensors     the noise bank and the anchor

Random generators need no file: every stream is keyed by (seed, epoch, purpose), so the seed in the
configuration and the epoch in the counters are their whole state (`streams.py`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hero_engine.errors import CheckpointError, DamagedFiles
from hero_engine.storage.checked import SUMS, check_sums, checked_text, read_checked, sums_of
from hero_engine.storage.durable import storing, write_tensors
from hero_engine.storage.whole import previous, whole_folder

FORMAT = 2
"""Format 1 had a configuration of format 1 (see `methods/earlier_format.py`)."""
STATE = "state.json"
DAMAGED = (OSError, ValueError, KeyError, TypeError, SafetensorError)
"""What reading raises of a folder that is not whole."""
COMMON = ("format", "epoch", "config", "sha256")
"""Keys of state.json that every method has."""


@dataclass
class Checkpoint:
    """A run between two epochs."""

    config: dict[str, Any]
    """In the flat form of `RunConfig.flat`."""
    epoch: int
    tensors: dict[str, dict[str, Tensor]]
    """By the name of the file, without its ending."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What a method remembers besides tensors, as JSON."""

    def save(self, folder: Path, *, once: bool = False) -> None:
        """Write the checkpoint as `folder`, replacing one of that name, unless it is to be written
        `once` (see `whole`). Raises `StorageError`."""
        with storing("the checkpoint", folder), whole_folder(folder, once=once) as partial:
            for name, tensors in self.tensors.items():
                write_tensors(partial / f"{name}.safetensors", tensors)
            state = {
                "format": FORMAT,
                "epoch": self.epoch,
                **self.facts,
                "config": self.config,
                SUMS: sums_of(partial, [f"{name}.safetensors" for name in self.tensors]),
            }
            (partial / STATE).write_text(checked_text(state))

    @classmethod
    def load(cls, folder: Path) -> "Checkpoint":
        """Read what `save` wrote. Raises `DamagedFiles`, or `CheckpointError` if it is too new."""
        if not folder.exists() and previous(folder).exists():
            folder = previous(folder)
        try:
            state = checked_state(folder)
            return cls(
                config=dict(state["config"]),
                epoch=int(state["epoch"]),
                tensors={
                    name.removesuffix(".safetensors"): load_file(folder / name)
                    for name in state[SUMS]
                },
                facts={key: value for key, value in state.items() if key not in COMMON},
            )
        except DAMAGED as error:
            raise DamagedFiles(
                f"The checkpoint in {folder} cannot be used ({error}); make it again with `hero "
                "repair`, or resume from an earlier one."
            ) from error


def checked_state(folder: Path) -> dict[str, Any]:
    """A checkpoint's state.json, once all of its files are seen to be whole. Raises one of
    `DAMAGED`, or `CheckpointError` if it is too new."""
    state = read_checked(folder / STATE)
    if state["format"] not in (1, FORMAT):
        raise CheckpointError(
            f"The checkpoint in {folder} cannot be used: its format is {state['format']} and this "
            f"version reads 1 to {FORMAT}; update HERO."
        )
    check_sums(folder, state[SUMS])
    return state


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """A copy of an optimizer's state as flat tensors: `<parameter number>.<moment>`."""
    return {
        f"{number}.{name}": value.clone()
        for number, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave, for the same parameters in the same order."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
