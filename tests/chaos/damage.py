"""Files of a run that go bad on the disk: a bit, the end, or the whole file."""

import os
import random
import re
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from backend.settings import Settings


class Harm(StrEnum):
    """What happens to a file."""

    flipped = "file damaged: a bit flipped"
    cut = "file damaged: cut off"
    gone = "file damaged: removed"


def damage(settings: Settings, run_id: str, harm: Harm, rng: random.Random) -> Path | None:
    """Damage one of the run's batches, images, checkpoints or reports; None if it has none yet."""
    files = sorted(_files(settings, run_id))
    if not files:
        return None
    path = rng.choice(files)
    with suppress(FileNotFoundError):  # a worker replaces it just now
        if harm is Harm.gone:
            path.unlink()
        elif harm is Harm.cut:
            os.truncate(path, rng.randrange(path.stat().st_size or 1))
        else:
            _flip(path, rng)
        return path
    return None


def _files(settings: Settings, run_id: str) -> Iterator[Path]:
    home = settings.run_dir(run_id)
    for kind in ("batches", "checkpoints"):
        for place in (home / kind).glob("epoch-*"):
            if re.fullmatch(r"epoch-\d{4}(\.report\.json)?", place.name):
                yield from [place] if place.is_file() else _inside(place)
    yield from (settings.images_dir / run_id).glob("[0-9]*/*.png")


def _inside(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")


def _flip(path: Path, rng: random.Random) -> None:
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if size:
            place = rng.randrange(size)
            file.seek(place)
            [byte] = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ 1 << rng.randrange(8)]))
