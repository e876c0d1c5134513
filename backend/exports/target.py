"""Where an export goes, and what may be replaced there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend import files
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
    """Like `files.whole`, and the errors say what a person can do about them.

    Args:
        force: replace what stands there, if it is a file or an export.

    Raises:
        TargetUnusable: something is there already, or it cannot be written.
        DiskFull
    """
    try:
        _check_free(target, force)
        with files.whole(target) as partial:
            yield partial
    except OSError as error:
        if files.is_disk_full(error):
            raise DiskFull(
                f"Cannot write {target}: the disk is full; nothing half-written was kept, so free "
                "space or choose another disk with --out."
            ) from error
        where = f" ({error.filename})" if error.filename else ""
        raise TargetUnusable(
            f"Cannot write {target}: {error.strerror or error}{where}; choose another place with "
            "--out."
        ) from error


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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
