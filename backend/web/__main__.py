"""`python -m backend.web`: the web process, on HERO_HOST and HERO_PORT."""

import os
import signal
import sys
from types import FrameType

from backend import logs
from backend.outcomes import untroubled
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.web.app import DOOR, create_app
from backend.web.serving import give_memory_back, server


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    os.umask(0o077)
    give_memory_back()
    settings = Settings.load()
    logs.configure(settings.log_level)
    settings = untroubled("keep the secrets", lambda: ensure_secrets(settings))
    store = untroubled("open the database", lambda: Store.open(settings))
    app = create_app(settings, store)
    server(app, settings.host, settings.port, app.extensions[DOOR].known).run()


main()
