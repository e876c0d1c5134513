"""Everything a run needs to go on, in one folder, whole or not at all, and without pickle.

    state.json            format version, configuration, counters, a checksum of every other file
    lora.safetensors      the LoRA matrices
    optimizer.safetensors AdamW's moments and step counts, by parameter
    embedding.safetensors E and its projection head
    noise.safetensors     the noise bank and the anchor

Random generators need no file: every stream is keyed by (seed, epoch, purpose), so the seed in the
configuration and the epoch in the counters are their whole state (`streams.py`).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hero_engine.config import HeroConfig, make_config
from hero_engine.durable import previous, storing, whole_folder, write_json, write_tensors
from hero_engine.errors import CheckpointError, ConfigError
from hero_engine.noise import NoiseBank

FORMAT = 1
TENSOR_FILES = ("lora", "optimizer", "embedding", "noise")


@dataclass
class Checkpoint:
    """A run between two epochs."""

    config: HeroConfig
    epoch: int
    embedding_trained: bool
    lora: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    embedding: dict[str, Tensor]
    bank: NoiseBank | None
    anchor: Float[Tensor, "channel height width"] | None

    def save(self, folder: Path) -> None:
        """Write the checkpoint as `folder`, replacing one of that name. Raises `StorageError`."""
        noise = {}
        if self.bank is not None:
            noise["good"] = self.bank.good
            if self.bank.best is not None:
                noise["best"] = self.bank.best
        if self.anchor is not None:
            noise["anchor"] = self.anchor
        contents = (self.lora, self.optimizer, self.embedding, noise)
        with storing("the checkpoint", folder), whole_folder(folder) as partial:
            for name, tensors in zip(TENSOR_FILES, contents, strict=True):
                write_tensors(partial / f"{name}.safetensors", tensors)
            write_json(
                partial / "state.json",
                {
                    "format": FORMAT,
                    "epoch": self.epoch,
                    "embedding_trained": self.embedding_trained,
                    "config": self.config.model_dump(),
                    "sha256": {
                        f"{name}.safetensors": _sha256(partial, name) for name in TENSOR_FILES
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
            if state["format"] != FORMAT:
                raise ValueError(f"its format is {state['format']}, this version reads {FORMAT}")
            tensors = {name: _read(folder, name, state) for name in TENSOR_FILES}
            return cls._from(state, tensors)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError, ConfigError) as error:
            raise CheckpointError(
                f"The checkpoint in {folder} cannot be used ({error}); resume from an earlier one."
            ) from error

    @classmethod
    def _from(cls, state: dict[str, Any], tensors: dict[str, dict[str, Tensor]]) -> "Checkpoint":
        noise = tensors["noise"]
        bank = NoiseBank(noise["good"], noise.get("best")) if "good" in noise else None
        return cls(
            config=make_config(**state["config"]),
            epoch=int(state["epoch"]),
            embedding_trained=bool(state["embedding_trained"]),
            lora=tensors["lora"],
            optimizer=tensors["optimizer"],
            embedding=tensors["embedding"],
            bank=bank,
            anchor=noise.get("anchor"),
        )


def _read(folder: Path, name: str, state: dict[str, Any]) -> dict[str, Tensor]:
    if _sha256(folder, name) != state["sha256"][f"{name}.safetensors"]:
        raise ValueError(f"{name}.safetensors is damaged: its checksum is not the one recorded")
    return load_file(folder / f"{name}.safetensors")


def _sha256(folder: Path, name: str) -> str:
    return hashlib.sha256((folder / f"{name}.safetensors").read_bytes()).hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's state as flat tensors: `<parameter number>.<moment>`."""
    return {
        f"{number}.{name}": value
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
