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

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hero_engine.errors import CheckpointError
from hero_engine.storage.durable import storing, write_json, write_tensors
from hero_engine.storage.whole import previous, whole_folder

FORMAT = 2
"""Format 1 had a configuration of format 1 (see `methods/earlier_format.py`)."""
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

    def save(self, folder: Path) -> None:
        """Write the checkpoint as `folder`, replacing one of that name. Raises `StorageError`."""
        with storing("the checkpoint", folder), whole_folder(folder) as partial:
            for name, tensors in self.tensors.items():
                write_tensors(partial / f"{name}.safetensors", tensors)
            write_json(
                partial / "state.json",
                {
                    "format": FORMAT,
                    "epoch": self.epoch,
                    **self.facts,
                    "config": self.config,
                    "sha256": {
                        f"{name}.safetensors": _sha256(partial, name) for name in self.tensors
                    },
                },
            )

    @classmethod
    def load(cls, folder: Path) -> "Checkpoint":
        """Read what `save` wrote. Raises `CheckpointError` if it is missing, damaged or too new."""
        if not folder.exists() and previous(folder).exists():
            folder = previous(folder)
        try:
            state = json.loads((folder / "state.json").read_text())
            if state["format"] not in (1, FORMAT):
                raise ValueError(
                    f"its format is {state['format']} and this version reads 1 to {FORMAT}; "
                    "update HERO"
                )
            names = [name.removesuffix(".safetensors") for name in state["sha256"]]
            return cls(
                config=dict(state["config"]),
                epoch=int(state["epoch"]),
                tensors={name: _read(folder, name, state) for name in names},
                facts={key: value for key, value in state.items() if key not in COMMON},
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CheckpointError(
                f"The checkpoint in {folder} cannot be used ({error}); resume from an earlier one."
            ) from error


def _read(folder: Path, name: str, state: dict[str, Any]) -> dict[str, Tensor]:
    if _sha256(folder, name) != state["sha256"][f"{name}.safetensors"]:
        raise ValueError(f"{name}.safetensors is damaged: its checksum is not the one recorded")
    return load_file(folder / f"{name}.safetensors")


def _sha256(folder: Path, name: str) -> str:
    return hashlib.sha256((folder / f"{name}.safetensors").read_bytes()).hexdigest()


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
