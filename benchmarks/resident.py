"""This process's memory, as the system counts it."""

import gc
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident(kind: str) -> int:
    """Bytes: VmRSS now, RssAnon now without pages of files, VmHWM at most since the last
    `restart_peak`. Linux only."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def peak() -> int:
    """The most bytes that this process has had. On Linux not by `getrusage`, which counts in what
    the process that started this one had at that moment."""
    if STATUS.exists():
        return resident("VmHWM")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def restart_peak() -> None:
    """Forget the highest so far. Linux only."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
