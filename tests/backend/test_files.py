"""A full disk is told from other errors."""

import errno

from backend.disk import is_disk_full


def test_a_full_disk_is_told_from_other_errors():
    def caused(inner: Exception) -> Exception:
        outer = RuntimeError("could not write")
        outer.__cause__ = inner
        return outer

    assert is_disk_full(OSError(errno.ENOSPC, "x"))
    assert is_disk_full(caused(OSError(errno.EDQUOT, "x")))
    assert is_disk_full(caused(RuntimeError("I/O error: No space left on device")))
    assert not is_disk_full(caused(OSError(errno.EACCES, "x")))
    assert not is_disk_full(None)
