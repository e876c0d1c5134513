"""The processes of a life: forked from one that has torch loaded, so that a kill costs little."""

import ctypes
import multiprocessing
import os
import runpy
import signal
import sys
import threading
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.chaos.clocks import follow

_PR_SET_PDEATHSIG = 1
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.chaos.loaded"])


class Process:
    """`python -m MODULE` with its environment and log file."""

    def __init__(self, name: str, module: str, env: dict[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self.starts = 0
        self._told = (module, env, log)
        self._process: ForkServerProcess | None = None
        self._killed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it, again if it has ended."""
        self._killed = False
        self.starts += 1
        self._process = FORKS.Process(target=_run, args=self._told)
        self._process.start()

    @property
    def pid(self) -> int:
        """0 before the first start."""
        return self._process.pid or 0 if self._process else 0

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        with self._lock:  # of two that ask at once one would not hear how it ended
            return self._process is not None and self._process.is_alive()

    @property
    def ended_by_itself(self) -> int | None:
        """Its exit status, if nobody has killed it."""
        if self._process is None or self._killed or self.alive:
            return None
        return self._process.exitcode

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; False if it is not there."""
        if not self.alive:
            return False
        self._killed = self._killed or number is signal.SIGKILL
        os.kill(self.pid, number)
        return True

    def kill(self) -> bool:
        """SIGKILL, and wait for the end; False if it was not there."""
        if not self.signal(signal.SIGKILL) or self._process is None:
            return False
        while self.alive:
            time.sleep(0.01)
        return True


def _run(module: str, env: dict[str, str], log: Path) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.update(env)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    follow()
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__")
