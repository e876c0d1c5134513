"""`python -m backend.web`: the web process, on HERO_HOST and HERO_PORT."""

import os
import signal
import sys
from types import FrameType

from backend.settings import Settings, ensure_secrets
from backend.web.app import DOOR, create_app
from backend.web.serving import server


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    os.umask(0o077)
    settings = ensure_secrets(Settings.load())
    app = create_app(settings)
    server(app, settings.host, settings.port, app.extensions[DOOR].known).run()


main()
