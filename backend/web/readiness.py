"""Whether the web process can do its work: it can reach the database."""

import threading
import time

from backend.errors import DatabaseUnavailable, DiskFull
from backend.store import Store

LASTS_SECONDS = 1.0


class Readiness:
    """Asks the database once a second at most, however many want to know.

    While one request asks, the others get the last answer: a database that does not answer holds
    one thread, and not all of them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._ready = False

    def __call__(self) -> bool:
        """Whether the database answered, now or a moment ago."""
        if time.monotonic() - self._asked_at > LASTS_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._ready = self._answers()
                self._asked_at = time.monotonic()
            finally:
                self._lock.release()
        return self._ready

    def _answers(self) -> bool:
        try:
            self._store.work_waits()
        except (DatabaseUnavailable, DiskFull):
            return False
        return True
