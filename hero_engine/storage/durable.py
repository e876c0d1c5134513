"""Folders that are on the disk whole or not at all."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from hero_engine.errors import StorageError


@contextlib.contextmanager
def storing(what: str, where: Path) -> Iterator[None]:
    """Turn an `OSError` of the block (a full disk, say) into one `StorageError` sentence."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"Could not write {what} to {where} ({error.strerror or error}); what was there before "
            "is unchanged: make room or correct the permissions, and try again."
        ) from error


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the name `folder` when the block ends well.

    Everything is synced before the rename. A folder of that name is replaced; a crash between the
    two renames leaves it as `previous(folder)`.
    """
    partial, old = folder.with_name(f".{folder.name}.partial"), previous(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        sync_folder(partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    partial.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def previous(folder: Path) -> Path:
    """Where `whole_folder` keeps the folder that it is replacing."""
    return folder.with_name(f".{folder.name}.previous")


def sync_folder(folder: Path) -> None:
    """fsync every file below `folder`, and the folders."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """fsync one file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Tensors as safetensors; a full disk is an `OSError`, as for any other file."""
    copies = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    try:
        save_file(copies, path, dict(metadata) if metadata else None)
    except SafetensorError as error:
        raise OSError(None, str(error)) from error


def write_json(path: Path, value: Any) -> None:
    """A value as readable JSON."""
    path.write_text(json.dumps(value, indent=2) + "\n")
