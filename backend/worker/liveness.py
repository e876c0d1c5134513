"""The worker's sign of life. `python -m backend.worker.liveness` is the health check.

A worker has no port to ask. Its poller, which also looks at the database, leaves a sign each time
round, whatever step the worker is in.
"""

import socket
import sys
import time
from pathlib import Path

from backend.settings import Settings

DEAD_AFTER_SECONDS = 90.0


def beat(settings: Settings) -> None:
    """Leave a sign of life."""
    path = _sign(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def is_alive(settings: Settings) -> bool:
    """Whether the worker of this machine (or container) left a sign lately."""
    return _fresh(_sign(settings))


def living(settings: Settings) -> list[str]:
    """The machines (or containers) whose workers left a sign in this home lately."""
    signs = (settings.home / "workers").glob("*")
    return sorted(sign.name for sign in signs if _fresh(sign))


def _fresh(sign: Path) -> bool:
    try:
        return time.time() - sign.stat().st_mtime < DEAD_AFTER_SECONDS
    except FileNotFoundError:
        return False


def _sign(settings: Settings) -> Path:
    return settings.home / "workers" / socket.gethostname()


if __name__ == "__main__":
    sys.exit(0 if is_alive(Settings.load()) else "The worker has left no sign of life lately.")
