"""Files that say whether they are whole: JSON with its own checksum and those of others."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CHECKSUM = "checksum"
"""Of a JSON file: that of all else in it. Files of earlier versions have none."""
SUMS = "sha256"
"""Of a JSON file: those of the files beside it, by name."""


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """By name."""
    return {name: sha256(folder / name) for name in names}


def checked_text(value: Mapping[str, Any]) -> str:
    """Readable JSON with a checksum of itself."""
    return json.dumps({**value, CHECKSUM: _of(value)}, indent=2) + "\n"


def read_checked(path: Path) -> dict[str, Any]:
    """What `checked_text` made. Raises `ValueError` or `OSError` if it is damaged or missing."""
    value = json.loads(path.read_text())
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is damaged: it is no JSON object")
    if (said := value.pop(CHECKSUM, None)) is not None and said != _of(value):
        raise ValueError(f"{path.name} is damaged: its checksum is not the one recorded")
    return value


def check_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Raise `ValueError` or `OSError` unless the files of a folder are those that were written."""
    for name, wanted in sums.items():
        if sha256(folder / name) != wanted:
            raise ValueError(f"{name} is damaged: its checksum is not the one recorded")


def _of(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
