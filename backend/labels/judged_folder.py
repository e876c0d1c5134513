"""Folders `good/` and `bad/`, and `best/` with one picture -> judged pictures."""

from pathlib import Path

from backend.consensus import BAD, BEST, GOOD
from backend.files import sha256
from backend.labels.judged import Judged, refused
from backend.run.records import IMPORTED, Verdict, Verdicts

FOLDERS = (BEST, GOOD, BAD)
"""The best picture may lie in `good/`, too."""
_OF_THE_SYSTEM = ("Thumbs.db", "desktop.ini")


def read_folder(source: Path) -> Judged:
    """The pictures of such a folder; a picture that lies there twice counts once.

    Raises:
        BadInput: there are no such folders, or they contradict each other.
    """
    if not any((source / name).is_dir() for name in FOLDERS):
        raise refused(
            source,
            "it has no folder good/",
            "put the good pictures into good/ and the bad ones into bad/",
        )
    found: dict[str, tuple[Path, str]] = {}
    doubled = 0
    for value in FOLDERS:
        for path in _files(source, value):
            key = sha256(path)
            if key not in found:
                found[key] = path, value
                continue
            earlier, said = found[key]
            if BAD in (value, said) and value != said:
                one, other = earlier.relative_to(source), path.relative_to(source)
                raise refused(
                    source, f"{one} and {other} are the same picture", "leave it in one of them"
                )
            doubled += value == said
    bests = [path for path, value in found.values() if value == BEST]
    if len(bests) > 1:
        raise refused(
            source,
            f"best/ has {len(bests)} pictures, and one alone can be the best",
            "move the others to good/",
        )
    images = tuple(
        Verdict(value, IMPORTED, f"in {value}/ of {source.resolve().name}", 0, True)
        for _, value in found.values()
    )
    return Judged(
        source,
        tuple(path for path, _ in found.values()),
        Verdicts(
            images,
            0 if bests else None,
            "the picture in best/" if bests else "there is none in best/",
            frozenset(),
        ),
        (f"Copies of pictures that are there already, left out: {doubled}.",) if doubled else (),
    ).check()


def _files(source: Path, value: str) -> list[Path]:
    """The files of one of the folders; hidden ones are left out."""
    folder = source / value
    if not folder.is_dir():
        return []
    found = sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in _OF_THE_SYSTEM
    )
    for path in found:
        if not path.is_file():
            raise refused(
                source, f"{path.relative_to(source)} is no file", f"move its pictures to {value}/"
            )
    return found
