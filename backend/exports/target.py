"""Where an export goes, and that it gets there whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backend.disk import is_disk_full
from backend.errors import DiskFull, TargetUnusable
from backend.run.records import Run
from backend.settings import Settings

CARD = "README.md"
MARK = "Made by `hero export`"
"""Stands in the README of every folder that `hero export` makes: only such a folder is replaced."""


def place(
    settings: Settings, run: Run, what: str, format: str, out: Path | None, *, folder: bool
) -> Path:
    """The file or folder that an export becomes.

    Args:
        out: what the person said, if anything.
        folder: the export is a folder.
    """
    exports = settings.run_dir(run.id) / "exports"
    if folder:
        return out or exports / f"{run.id}-{what}-{format}"
    name = file_name(run, what, format)
    if out is None:
        return exports / name
    return out / name if out.is_dir() else out


def file_name(run: Run, what: str, format: str) -> str:
    """What an export that is a file is called, unless the person says otherwise."""
    return f"{run.id}-{what}.{format}"


@contextmanager
def whole(target: Path, *, force: bool = False) -> Iterator[Path]:
    """A path to write to, which takes the name `target` when the block ends well.

    Whatever goes wrong, what stood at `target` before still does, and nothing half-written stays.

    Raises:
        TargetUnusable: something is there already, or it cannot be written.
        DiskFull
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        _check_free(target, force)
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        _take_place(partial, target)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(
                f"Cannot write {target}: the disk is full; nothing half-written was kept, so free "
                "space or choose another disk with --out."
            ) from error
        where = f" ({error.filename})" if error.filename else ""
        raise TargetUnusable(
            f"Cannot write {target}: {error.strerror or error}{where}; choose another place with "
            "--out."
        ) from error
    finally:
        _remove(partial)


def _check_free(target: Path, force: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not force:
        raise TargetUnusable(
            f"Cannot write {target}: it exists already; say --force to replace it, or --out and "
            "another place."
        )
    if target.is_dir() and MARK not in _text(target / CARD):
        raise TargetUnusable(
            f"Cannot replace {target}: it is a folder that `hero export` did not make; say --out "
            "and another place."
        )


def _take_place(partial: Path, target: Path) -> None:
    if not target.is_dir():
        partial.replace(target)
        return
    old = partial.with_suffix(".old")
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _sync(path: Path) -> None:
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
