"""The service inside a test: web server and worker as threads, one home folder."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk import LabelStudio
from werkzeug.serving import make_server

from backend import engine
from backend.label_studio import Gateway
from backend.local.processes import free_port
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import State
from backend.settings import Settings, ensure_secrets
from backend.starting.start_run import start_run
from backend.store import Store
from backend.tasks.label_config import template, verdict_control
from backend.web.app import create_app
from backend.worker.loop import Worker


class Service:
    """`webhooks_arrive = False` lets the network lose every webhook."""

    def __init__(self, home: Path, label_studio: Any, **settings: Any) -> None:
        host = settings.get("host", "127.0.0.1")
        port = settings.pop("port", None) or free_port(host=host)
        self.label_studio = label_studio
        self.settings = ensure_secrets(
            Settings(
                home=home,
                label_studio_url=label_studio.url,
                label_studio_api_key=settings.pop("api_key", label_studio.token),
                local_files_root=label_studio.root,
                port=port,
                **settings,
            )
        )
        self.store = Store.open(self.settings)
        self.gateway = Gateway(self.settings)
        self.sdk = LabelStudio(base_url=label_studio.url, api_key=label_studio.token)
        self.worker = Worker(self.settings, self.store)
        self.webhooks_arrive = True
        self.webhooks: list[dict[str, Any]] = []
        app = create_app(self.settings, self.store)
        self._server = make_server(host, port, self._network(app), threaded=True)
        self._threads = [
            threading.Thread(target=self._server.serve_forever),
            threading.Thread(target=self.worker.run_forever),
        ]

    def start(self, *, worker: bool = True) -> "Service":
        for thread in self._threads[: 2 if worker else 1]:
            thread.start()
        return self

    def as_a_shell_knows_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on `hero` is this service's, as for whoever has its variables in a shell."""
        settings = self.settings
        for name, value in {
            "HERO_HOME": settings.home,
            "LABEL_STUDIO_URL": settings.label_studio_url,
            "LABEL_STUDIO_API_KEY": settings.label_studio_api_key.get_secret_value(),
            "HERO_LOCAL_FILES_ROOT": settings.files_root,
            "HERO_PORT": settings.port,
        }.items():
            monkeypatch.setenv(name, str(value))

    def stop(self) -> None:
        self.worker.end()
        if self._threads[0].ident:  # it would wait for a loop that never began
            self._server.shutdown()
        for thread in self._threads:
            if thread.ident:
                thread.join(30)
        self._server.server_close()
        self.store.close()

    def _network(self, app: Any) -> Callable[..., Any]:
        def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            if environ["PATH_INFO"] == "/webhook" and not self.webhooks_arrive:
                start_response("503 Lost", [])
                return [b""]
            return app(environ, start_response)

        return serve

    def start_run(
        self,
        pipeline: Path | str,
        *,
        labelling: Labelling | None = None,
        project_id: int | None = None,
        **fields: Any,
    ) -> Run:
        small = {
            "model": str(pipeline),
            "prompt": "one rose",
            "images_per_epoch": 4,
            "epochs": 2,
            "num_inference_steps": 3,
            "embedding_steps": 3,
            "trained_steps": 2,
            "minibatch_size": 4,
        }
        for foreign in engine.foreign_settings(None, {**fields, **small}):
            del small[foreign]
        config = engine.make_config(**{**small, **fields}).flat()
        return start_run(
            self.settings, self.store, config, labelling=labelling, project_id=project_id
        )

    def wait(self, run: Run, *states: State, epoch: int, seconds: float = 240) -> Run:
        """The run as soon as it is in one of these states of that epoch."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            now = self.store.run(run.id)
            if now.state in states and now.epoch == epoch:
                return now
            assert now.state is not State.failed, now.error
            time.sleep(0.05)
        raise AssertionError(f"still {self.store.run(run.id)}")

    def eventually(self, true: Callable[[], Any], seconds: float = 120) -> Any:
        """What `true` gives as soon as it is something."""
        deadline = time.monotonic() + seconds
        while not (found := true()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found
        return found

    def annotate(self, task_id: int, value: str | None, **fields: Any) -> int:
        control = verdict_control(template())
        result = [] if value is None else [control.result(value)]
        return self.sdk.annotations.create(task_id, result=result, lead_time=1.5, **fields).id

    def label(self, run: Run, values: list[str]) -> None:
        for image in self.store.images(run.id, run.epoch):
            self.annotate(image.task_id, values[image.index])
