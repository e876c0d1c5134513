"""Writing to the disk: whole or not at all, by the engine's writer, and what a full disk is."""

import errno

from hero_engine.storage.checked import SUMS, checked_text, read_checked, sha256, sums_of
from hero_engine.storage.whole import this_machine, whole, whole_folder, write_text

__all__ = [
    "SUMS",
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


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, says that there is no space left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "no space left" in str(error).lower() or "disk is full" in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False
