"""All of the service that needs no GPU, in one process without torch: `hero serve`.

The web server, and a worker that publishes batches, looks at the labels and closes epochs. That is
all that has to run while people label. Drawing and learning are done by `hero worker --only`, on
machines that may come and go.
"""

import threading

from backend.errors import PortInUse
from backend.run.states import State
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.web.app import DOOR, create_app
from backend.web.serving import server
from backend.worker.loop import opened

STEPS = (State.publishing,)


def serve() -> None:
    """Serve and publish, until SIGTERM or Ctrl-C. Raises `PortInUse`."""
    worker = opened(STEPS)
    settings = ensure_secrets(Settings.load())
    app = create_app(settings, Store.open(settings))
    try:
        listening = server(app, settings.host, settings.port, app.extensions[DOOR].known)
    except OSError as error:
        raise PortInUse(
            f"The backend cannot listen on {settings.host}:{settings.port} ({error.strerror}): set "
            "HERO_PORT to a free port, and HERO_HOST to an address of this machine."
        ) from error
    threading.Thread(target=worker.run_forever, name="publisher", daemon=True).start()
    listening.run()
