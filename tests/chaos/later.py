"""What ends a trouble: done by a thread after some seconds, or at once when all is healed."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Later:
    """Acts that wait for their time."""

    def __init__(self) -> None:
        self._acts: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Later":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()
        self.finish()

    def __call__(self, seconds: float, act: Callable[[], object]) -> None:
        """Do it in so many seconds."""
        with self._lock:
            heapq.heappush(self._acts, (time.monotonic() + seconds, next(self._order), act))

    def finish(self) -> None:
        """Do everything now, in order."""
        self._do_until(float("inf"))

    def _run(self) -> None:
        while not self._ending.wait(0.05):
            self._do_until(time.monotonic())

    def _do_until(self, now: float) -> None:
        with self._lock:
            while self._acts and self._acts[0][0] <= now:
                heapq.heappop(self._acts)[2]()
