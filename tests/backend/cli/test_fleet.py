"""`hero serve` and `hero worker`."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.local.processes import Child, free_port, stop, wait_until
from tests.answering import answers

HERO = [sys.executable, "-c", "from backend.cli import app; app()"]


def test_an_unknown_step_is_named_beside_those_there_are(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("HERO_HOME", str(tmp_path))
    said = CliRunner().invoke(app, ["worker", "--only", "drawing, learning"])
    assert said.exit_code != 0
    assert "'drawing'" in said.output
    assert "generating, publishing, learning" in said.output


def test_a_worker_with_nothing_to_do_says_so_and_ends(tmp_path: Path):
    said = subprocess.run(
        [*HERO, "worker", "--until-idle"],
        env={**os.environ, "HERO_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "There was nothing to do.\n"


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = subprocess.run(
            [*HERO, "serve"],
            env={**os.environ, "HERO_HOME": str(tmp_path), "HERO_PORT": str(port)},
            capture_output=True,
            text=True,
        )
    assert said.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_serves_has_no_torch(tmp_path: Path):
    port = free_port()
    env = {**os.environ, "HERO_HOME": str(tmp_path / "home"), "HERO_PORT": str(port)}
    child = Child("serve", [*HERO, "serve"], env, tmp_path / "log", Path.cwd())
    child.start()
    try:
        health = f"http://127.0.0.1:{port}/health"
        assert wait_until(lambda: answers(health), seconds=120, alive=lambda: child.alive)
        maps = psutil.Process(child.pid).memory_maps()
        assert not [each.path for each in maps if "libtorch" in each.path]
    finally:
        stop([child])
