"""What the engine writes: tensors and JSON, and one sentence where the disk refuses."""

import contextlib
import json
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
