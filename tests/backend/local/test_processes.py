"""Processes that end with the command that started them."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from backend.local import processes
from backend.local.processes import Child

PARENT_AND_CHILD = (
    "import subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print('ready', flush=True); time.sleep(60)"
)
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('ready', flush=True); time.sleep(60)"
)


def _child(tmp_path, code: str) -> Child:
    return Child(
        "sleeper", [sys.executable, "-c", code], dict(os.environ), tmp_path / "log", tmp_path
    )


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _eventually(condition) -> bool:
    return processes.wait_until(condition, seconds=10, every=0.02, alive=lambda: True)


def test_stop_ends_the_child_and_its_children(tmp_path):
    child = _child(tmp_path, PARENT_AND_CHILD)
    child.start()
    assert _eventually(lambda: "ready" in child.last_words())
    family = [child.pid, *(p.pid for p in psutil.Process(child.pid).children(recursive=True))]
    assert len(family) == 2
    processes.stop([child])
    assert not child.alive
    assert _eventually(lambda: all(_gone(pid) for pid in family))


def test_stop_insists(tmp_path):
    child = _child(tmp_path, STUBBORN)
    child.start()
    assert _eventually(lambda: "ready" in child.last_words())
    processes.stop([child], seconds=0.2)
    assert not child.alive


def test_last_words_are_the_end_of_the_log(tmp_path):
    child = _child(tmp_path, "print(*range(100), sep='\\n'); raise SystemExit(3)")
    child.start()
    assert _eventually(lambda: not child.alive)
    assert child.exit_status == 3
    assert child.last_words(2) == "98\n99"


def test_leftovers_of_a_killed_command_are_found_again_and_ended(tmp_path):
    child = _child(tmp_path, PARENT_AND_CHILD)
    child.start()
    assert _eventually(lambda: "ready" in child.last_words())
    remembered = processes.remember([child])
    other = [{"pid": os.getpid(), "created": remembered[0]["created"] - 5000}]
    assert processes.running(other) == []
    assert processes.end_leftovers(remembered) == 2
    assert _eventually(lambda: not child.alive)
    assert processes.end_leftovers(remembered) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_command_leaves_no_child(tmp_path):
    code = (
        "import os, pathlib, sys, time; from backend.local.processes import Child;"
        f"c = Child('x', [sys.executable, '-c', 'import time; time.sleep(60)'], dict(os.environ),"
        f" pathlib.Path({str(tmp_path / 'log')!r}), pathlib.Path('.')); c.start();"
        "print(c.pid, flush=True); time.sleep(60)"
    )
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert command.stdout is not None
    pid = int(command.stdout.readline())
    time.sleep(0.1)
    command.send_signal(signal.SIGKILL)
    command.wait()
    command.stdout.close()
    assert _eventually(lambda: _gone(pid))


def test_a_port_in_use_is_not_free():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken = server.getsockname()[1]
        assert not processes.port_is_free(taken)
        chosen = processes.free_port(taken)
        assert chosen != taken
    assert processes.port_is_free(chosen)
    assert processes.free_port(None, chosen) == chosen


def test_waiting_ends_when_what_is_waited_for_has_died():
    assert not processes.wait_until(lambda: False, seconds=60, alive=lambda: False)
    assert not processes.wait_until(lambda: False, seconds=0.05, every=0.01, alive=lambda: True)
