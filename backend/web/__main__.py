"""`python -m backend.web`: the web process, on HERO_HOST and HERO_PORT."""

import ctypes
import os
import signal
import sys
from types import FrameType

from backend import logs
from backend.outcomes import untroubled
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.web.app import DOOR, create_app
from backend.web.serving import server

_M_MMAP_THRESHOLD = -3


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    os.umask(0o077)
    _give_memory_back()
    settings = Settings.load()
    logs.configure(settings.log_level)
    settings = untroubled("keep the secrets", lambda: ensure_secrets(settings))
    store = untroubled("open the database", lambda: Store.open(settings))
    app = create_app(settings, store)
    server(app, settings.host, settings.port, app.extensions[DOOR].known).run()


def _give_memory_back() -> None:
    """What a large body took goes back to the system when it is freed.

    glibc else keeps it, for each thread, as soon as one such block has been freed once.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 256 * 2**10)


main()
