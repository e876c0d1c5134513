"""All of the service that needs no GPU, in one process without torch: `hero serve`.

The web server, and a worker that publishes batches, looks at the labels and closes epochs. That is
all that has to run while people label. Drawing and learning are done by `hero worker --only`, on
machines that may come and go.
"""

import threading

from backend.errors import PortInUse
from backend.run.states import State
from backend.web.app import DOOR, create_app
from backend.web.serving import give_memory_back, server
from backend.worker.loop import Worker, ready

STEPS = (State.publishing,)


def serve() -> None:
    """Serve and publish, until SIGTERM or Ctrl-C. Raises `PortInUse`."""
    give_memory_back()
    settings, store = ready()
    worker = Worker(settings, store, steps=STEPS)
    app = create_app(settings, store)
    try:
        listening = server(app, settings.host, settings.port, app.extensions[DOOR].known)
    except OSError as error:
        raise PortInUse(
            f"The backend cannot listen on {settings.host}:{settings.port} ({error.strerror}): set "
            "HERO_PORT to a free port, and HERO_HOST to an address of this machine."
        ) from error
    threading.Thread(target=worker.run_forever, name="publisher", daemon=True).start()
    listening.run()
