"""Files and folders that are on the disk whole or not at all.

Everything that must survive a crash is written through here, by the engine and by the service. What
cannot be written is an `OSError`: who knows what it was for says what to do about it.
"""

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


@contextmanager
def whole(target: Path, *, once: bool = False) -> Iterator[Path]:
    """A path to write a file or a folder to, which takes the name `target` when the block ends.

    Everything is synced before that. Whatever goes wrong, what stood at `target` before still
    does, and nothing half-written stays: what a killed process has left goes with the next attempt.
    A crash between the two renames that replace a folder leaves it as `previous(target)`.

    Args:
        once: a folder that is the same whoever makes it: one that has been put there meanwhile
            stays, and is not moved for a moment. So a process that was stopped and wakes up takes
            nothing away from the one that has gone on in its place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    partial = target.with_name(f"{_beside(target)}{os.getpid()}.partial")
    try:
        yield partial
        for path in (*partial.rglob("*"), partial):
            sync(path)
        if once:
            _take_free_place(partial, target)
        else:
            _take_place(partial, target)
        sync(target.parent)
    finally:
        _remove(partial)


@contextmanager
def whole_folder(target: Path, *, once: bool = False) -> Iterator[Path]:
    """Like `whole`, with the folder made already."""
    with whole(target, once=once) as partial:
        partial.mkdir()
        yield partial


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write a text file, whole or not at all.

    Args:
        private: it holds secrets, and nobody but its owner may read it, at any moment.
    """
    with whole(path) as partial:
        mode = 0o600 if private else 0o666
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


def previous(target: Path) -> Path:
    """Where a folder is kept while another takes its place."""
    return target.with_name(f".{target.name}.previous")


def sync(path: Path) -> None:
    """fsync one file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def this_machine() -> str:
    """Where a process number means something: the host, and in a container its numbering."""
    try:
        numbering = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        numbering = 0
    return f"{socket.gethostname()}-{numbering}"


def _beside(target: Path) -> str:
    """How the names begin under which processes of this machine write `target`."""
    return f".{target.name}.{this_machine()}-"


def _sweep(target: Path) -> None:
    """Remove what processes that do not live any more have left."""
    beside = _beside(target)
    for path in target.parent.iterdir():
        if not (path.name.startswith(beside) and path.name.endswith(".partial")):
            continue
        pid = path.name.removeprefix(beside).removesuffix(".partial")
        if pid.isdecimal() and (int(pid) == os.getpid() or not _lives(int(pid))):
            _remove(path)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _take_free_place(partial: Path, target: Path) -> None:
    """By one rename, which never takes the place of a folder that has something in it."""
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _take_place(partial: Path, target: Path) -> None:
    old = previous(target)
    if not target.is_dir():
        partial.replace(target)
        shutil.rmtree(old, ignore_errors=True)
        return
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
