"""The lease by which a worker holds a run: renewed, and not waited for where its holder is dead."""

import logging
import os
import threading
import time
from datetime import UTC, datetime

import psutil

from backend.errors import LeaseLost
from backend.files import this_machine
from backend.run.records import Claim
from backend.store import Store

logger = logging.getLogger(__name__)


class LeaseKeeper:
    """Renews the lease of a run while a step runs, and tells the step when it is lost."""

    def __init__(self, store: Store, claim: Claim) -> None:
        self._store = store
        self._claim = claim
        self._lost: LeaseLost | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._told: tuple[str, float] = ("", 0.0)
        self._started: dict[str, datetime] = {}

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def check(self) -> None:
        """Raise `LeaseLost` if the run was paused, stopped or taken over: drop the step."""
        if self._lost is not None:
            raise self._lost

    def progress(self, stage: str, done: int, total: int) -> None:
        """Write how far the step is, once a second; raises like `check`."""
        self.check()
        told_stage, told_at = self._told
        now = time.monotonic()
        if stage == told_stage and now - told_at < 1 and done < total:
            return
        self._told = (stage, now)
        started = self._started.setdefault(stage, datetime.now(UTC))
        self._store.progress(self._claim, stage, done, total, started)

    def _renew(self) -> None:
        pause = min(self._claim.lease_seconds / 3, 2.0)
        while not self._stopped.wait(pause):
            try:
                self._store.renew(self._claim)
            except LeaseLost as error:
                self._lost = error
                return
            except Exception as error:
                logger.warning("the lease of run %s was not renewed: %s", self._claim.run.id, error)


def process_name() -> str:
    """This process, in a way that a later one on the same machine can see whether it lives."""
    started = psutil.Process().create_time()
    return f"{this_machine()}:{os.getpid()}:{started:.2f}"


def is_dead(name: str) -> bool:
    """Whether `process_name` was that of a process of this machine that has ended."""
    host, pid, started = name.rsplit(":", 2)
    if host != this_machine():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) > 2
    except psutil.NoSuchProcess:
        return True
