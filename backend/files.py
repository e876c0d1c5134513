"""Writing to the disk: whole or not at all, by the engine's writer, and what a full disk is."""

import errno
from collections.abc import Iterator

from hero_engine.storage.checked import SUMS, checked_text, read_checked, sha256, sums_of
from hero_engine.storage.whole import this_machine, whole, whole_folder, write_text

__all__ = [
    "SUMS",
    "causes",
    "checked_text",
    "is_disk_full",
    "read_checked",
    "sha256",
    "sums_of",
    "this_machine",
    "whole",
    "whole_folder",
    "write_text",
]


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, what that was raised from, ..."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, says that there is no space left."""
    for each in causes(error):
        if isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "no space left" in str(each).lower() or "disk is full" in str(each).lower():
            return True
    return False
