"""A process without torch serves and publishes; workers for the GPU come and go, of one process or
of two."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backend.local.processes import Child, stop, wait_until
from backend.run.states import State
from tests.answering import answers
from tests.e2e.service import Service

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

HERO = [sys.executable, "-c", "from backend.cli import app; app()"]
VALUES = ["good", "bad", "best", "bad"]


@pytest.fixture
def service(label_studio) -> Iterator[Service]:
    made = Service(label_studio.root / "fleet", label_studio, poll_seconds=1)
    made._server.server_close()  # `hero serve` takes its port
    yield made
    made.store.close()


def test_a_run_goes_round_while_workers_come_and_go(service: Service, tmp_path: Path):
    settings = service.settings
    env = {
        **os.environ,
        "HERO_HOME": str(settings.home),
        "HERO_PORT": str(settings.port),
        "HERO_POLL_SECONDS": "1",
        "HERO_LOCAL_FILES_ROOT": str(settings.local_files_root),
        "LABEL_STUDIO_URL": settings.label_studio_url,
        "LABEL_STUDIO_API_KEY": settings.label_studio_api_key.get_secret_value(),
    }
    serve = Child("serve", [*HERO, "serve"], env, tmp_path / "serve.log", Path.cwd())

    def worker_comes_and_goes(name: str, processes: int = 1) -> str:
        command = [*HERO, "worker", "--only", "generating,learning", "--until-idle"]
        of_worker = {**env, "HERO_PROCESSES": str(processes)}
        worker = Child(name, command, of_worker, tmp_path / f"{name}.log", Path.cwd())
        worker.start()
        assert wait_until(lambda: not worker.alive, seconds=300, alive=lambda: True)
        assert worker.exit_status == 0, worker.last_words()
        return worker.last_words()

    serve.start()
    try:
        health = f"{settings.backend_url}/health"
        assert wait_until(lambda: answers(health), seconds=120, alive=lambda: serve.alive), (
            serve.last_words()
        )
        run = service.start_run("tiny", method="hero+", denoising_steps=2)
        for epoch in range(2):
            said = worker_comes_and_goes(f"worker-{epoch}", processes=2 - epoch)
            assert "Worked on 1 run" in said
            run = service.wait(run, State.labelling, epoch=epoch)
            service.label(run, VALUES)
            service.wait(run, State.learning, epoch=epoch)
        worker_comes_and_goes("the last")
        run = service.wait(run, State.finished, epoch=2)
        maps = {each.path for each in psutil.Process(serve.pid).memory_maps()}
        assert not [path for path in maps if "libtorch" in path]
    finally:
        stop([serve])
