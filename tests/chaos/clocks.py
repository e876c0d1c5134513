"""Clocks that can be set: a process follows a file that says by how many seconds its clock is
wrong. What measures a length of time (`time.monotonic`) goes on as it does when a clock is set."""

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

FILE = "HERO_CHAOS_CLOCK"
"""Names the file of a process."""
_EVERY = 0.05
_AT_START = Path(__file__).parent / "clocked_start"


class Clock:
    """The clock of some processes, as somebody sets it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that follows it."""
        return {FILE: str(self._file)}

    @property
    def python_environment(self) -> dict[str, str]:
        """The same, of any Python program that knows nothing of this."""
        paths = [str(_AT_START), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**self.environment, "PYTHONPATH": os.pathsep.join(paths)}

    def set(self, seconds: float) -> None:
        """So many seconds after the right time, or before it."""
        partial = self._file.with_suffix(".partial")
        partial.write_text(str(seconds))
        partial.replace(self._file)


def follow() -> None:
    """Let the clock of this process be that of its file from now on; nothing if it has none."""
    if FILE in os.environ:
        threading.Thread(target=_follow, args=(Path(os.environ[FILE]),), daemon=True).start()


def _follow(file: Path) -> None:
    wrong = 0.0
    traveller = time_machine.travel(datetime.now(UTC), tick=True).start()
    while True:
        wanted = float(file.read_text())
        if wanted != wrong:
            traveller.shift(timedelta(seconds=wanted - wrong))
            wrong = wanted
        time.sleep(_EVERY)
