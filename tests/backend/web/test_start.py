"""The web process is started while its database is away."""

import os
import sys
import time
from pathlib import Path

import httpx
import pytest

from backend.local.processes import Child, free_port, stop, wait_until
from tests.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_it_waits_for_the_database(tmp_path: Path):
    server, port = Postgres(), free_port()
    url = server.new_database("hero")
    env = {
        **os.environ,
        "HERO_HOME": str(tmp_path / "home"),
        "HERO_DATABASE_URL": url,
        "HERO_PORT": str(port),
    }
    web = Child("web", [sys.executable, "-m", "backend.web"], env, tmp_path / "log", Path.cwd())
    try:
        server.end("immediate")
        web.start()
        assert wait_until(
            lambda: "cannot open the database yet" in web.last_words(),
            seconds=60,
            alive=lambda: web.alive,
        )
        server.start()
        assert wait_until(lambda: status(port) == 200, seconds=60, alive=lambda: web.alive)
        server.end("immediate")
        time.sleep(1.1)  # an answer lasts for a second
        assert status(port) == 503
        server.start()
        assert wait_until(lambda: status(port) == 200, seconds=60, alive=lambda: web.alive)
    finally:
        stop([web])
        server.stop()


def status(port: int) -> int:
    """What /ready answers; 0 if nobody does."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready").status_code
    except httpx.TransportError:
        return 0
