"""Weight files, looked at without loading them: which there are, and what their headers say."""

import json
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hero_engine.errors import ModelNotFound

Shapes = dict[str, tuple[int, ...]]
"""Of each tensor, by its name."""

SAFETENSORS, PICKLED = ".safetensors", ".bin"
_SHARD = r"(-\d+-of-\d+)?"
_NAME = re.compile(
    rf"(diffusion_pytorch_model|pytorch_model|model){_SHARD}(\.(?P<variant>\w+?))?{_SHARD}"
    r"(?P<suffix>\.safetensors|\.bin)(?P<index>\.index(\.(?P<indexed>\w+))?\.json)?"
)
"""Of weights, as diffusers and transformers write them."""
_POINTER = b"version "
"""Begins the files that Git leaves in place of large ones."""
LARGEST_HEADER = 100_000_000
"""Of a safetensors file, by its format's own rule."""


@dataclass(frozen=True)
class Weights:
    """One part's weights: the files to load, of one kind and variant."""

    variant: str | None
    """Such as fp16; None for the plain ones."""
    index: str | None
    """The file that says which shard has what."""
    files: tuple[str, ...]
    suffix: str


def choose_weights(names: Iterable[str]) -> Weights | None:
    """Which of a folder's files are the weights to load: plain before a variant, safetensors before
    pickled ones. None if there are none."""
    found: dict[tuple[str, str], Weights] = {}
    for name in sorted(names):
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        variant, suffix = match["variant"] or match["indexed"] or "", match["suffix"]
        known = found.get((variant, suffix), Weights(variant or None, None, (), suffix))
        if match["index"]:
            known = replace(known, index=name)
        else:
            known = replace(known, files=(*known.files, name))
        found[variant, suffix] = known
    order = sorted(found, key=lambda key: (key[0] != "", key[1] != SAFETENSORS, key[0] != "fp16"))
    return found[order[0]] if order else None


def header(path: Path) -> dict[str, Any]:
    """A safetensors file's header, without its tensors. Raises `ModelNotFound` if it is damaged."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise damaged(path, "it is empty" if not start else "it ends within its header")
        if start == _POINTER:
            raise _pointer(path)
        length = struct.unpack("<Q", start)[0]
        if length > min(size - 8, LARGEST_HEADER):
            raise damaged(path, "it is no safetensors file, or ends within its header")
        try:
            read = json.loads(file.read(length))
            ends = [each["data_offsets"][1] for key, each in _tensors(read)]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise damaged(path, "it is no safetensors file") from error
    wanted = 8 + length + max(ends, default=0)
    if size < wanted:
        raise damaged(path, f"it has {size:,} of {wanted:,} bytes")
    return dict(read)


def shapes(path: Path) -> Shapes:
    """The shapes of a safetensors file's tensors. Raises `ModelNotFound` if it is damaged."""
    return {key: tuple(each["shape"]) for key, each in _tensors(header(path))}


def _tensors(read: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, each) for key, each in read.items() if key != "__metadata__"]


def read_shapes(folder: Path, weights: Weights) -> Shapes | None:
    """The shapes of a part's weights; None where they are pickled, whose header says nothing.

    Raises `ModelNotFound` if a file is missing or damaged.
    """
    files = _files(folder, weights)
    for name in files:
        if not (folder / name).is_file():
            raise ModelNotFound(
                f"{folder} has no {name}, though its {weights.index} names it; download the model "
                "again."
            )
    if weights.suffix == PICKLED:
        for name in files:
            _check_pickled(folder / name)
        return None
    return {key: shape for name in files for key, shape in shapes(folder / name).items()}


def _files(folder: Path, weights: Weights) -> list[str]:
    """The files that the index names, or those that are there."""
    if weights.index is None:
        return list(weights.files)
    try:
        named = json.loads((folder / weights.index).read_text())["weight_map"].values()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelNotFound(
            f"{folder / weights.index} cannot be read; download the model again."
        ) from error
    return sorted(set(named))


def _check_pickled(path: Path) -> None:
    """A torch file is a zip archive, whose list of contents stands at its end."""
    with path.open("rb") as file:
        start = file.read(8)
    if start == _POINTER:
        raise _pointer(path)
    zipped = start[:2] == b"PK"
    if path.stat().st_size == 0 or (zipped and not zipfile.is_zipfile(path)):
        raise damaged(path, "it ends too early")


def damaged(path: Path, why: str) -> ModelNotFound:
    """That a file is not whole."""
    return ModelNotFound(f"{path} is damaged: {why}; download it again.")


def _pointer(path: Path) -> ModelNotFound:
    return ModelNotFound(
        f"{path} is a Git LFS pointer, which says where the weights are; run `git lfs pull` in the "
        "model's folder, or download the file itself."
    )


def missing_weights(model: str, part: str, library: str) -> ModelNotFound:
    """That a part of a model has no weights."""
    usual = "diffusion_pytorch_model" if library == "diffusers" else "model"
    return ModelNotFound(
        f"The model {model!r} is not complete: there are no weights in {part}/, such as "
        f"{usual}{SAFETENSORS}; download it again, or write it again with save_pretrained()."
    )
