"""`hero up` without its processes: whose Label Studio, which port, who holds the home folder."""

import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from backend.errors import (
    AlreadyRunning,
    HeroServiceError,
    LabelStudioDidNotStart,
    LabelStudioUnreachable,
    PortInUse,
)
from backend.local import stack
from backend.local.label_studio_server import Account, LocalLabelStudio, environment
from backend.local.processes import Child, free_port, stop
from backend.local.stack import Stack, interruptible
from backend.settings import Settings, write_env


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HERO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_second_start_on_the_same_home_is_refused(home):
    home.mkdir()
    (home / "up.json").write_text(json.dumps({"pid": 4, "label_studio": "http://x:8080"}))
    with FileLock(home / "up.lock"), pytest.raises(AlreadyRunning, match="http://x:8080"):
        Stack().__enter__()
    assert (home / "up.json").exists()


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(home, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("HERO_PORT", str(port))
        with pytest.raises(PortInUse, match=str(port)):
            Stack().__enter__()
    assert not (home / "up.json").exists()
    FileLock(home / "up.lock").acquire(timeout=0).lock.release()


def test_a_label_studio_that_does_not_answer_ends_everything(home, monkeypatch):
    port = free_port()
    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(LabelStudioUnreachable, match=str(port)):
        Stack().__enter__()
    FileLock(home / "up.lock").acquire(timeout=0).lock.release()


def test_whose_label_studio(home, monkeypatch, tmp_path):
    data = tmp_path / "label-studio"
    assert stack._own_label_studio(Settings.load(), data)
    account = Account("a@b.c", "password", "token", 8123)
    account.save(data)
    write_env(home, {"LABEL_STUDIO_URL": account.url})
    assert stack._own_label_studio(Settings.load(), data)
    write_env(home, {"LABEL_STUDIO_URL": "http://somewhere.example:8080"})
    assert not stack._own_label_studio(Settings.load(), data)
    monkeypatch.setenv("LABEL_STUDIO_URL", account.url)
    assert not stack._own_label_studio(Settings.load(), data)


def test_the_account_is_kept_for_the_next_start_and_private(tmp_path):
    first = LocalLabelStudio(tmp_path / "ls", files_root=tmp_path, log=tmp_path / "log")
    again = LocalLabelStudio(tmp_path / "ls", files_root=tmp_path, log=tmp_path / "log")
    assert again.account == first.account
    mode = stat.S_IMODE((tmp_path / "ls" / "account.json").stat().st_mode)
    assert mode == 0o600


def test_label_studio_gets_a_clean_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_HOST", "http://elsewhere")
    monkeypatch.setenv("POSTGRE_HOST", "db")
    monkeypatch.setenv("NO_PROXY", "example.com")
    account = Account("a@b.c", "password", "token", 8123)
    found = environment(account, data=tmp_path, files_root=tmp_path)
    assert found["LABEL_STUDIO_HOST"] == ""
    assert "POSTGRE_HOST" not in found
    assert found["no_proxy"] == "example.com,127.0.0.1,localhost"
    wanted = {
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "SSRF_PROTECTION_ENABLED": "false",
        "ML_BLOCK_LOCAL_IP": "false",
        "TASK_LOCK_TTL": "300",
        "LOCAL_FILES_SERVING_ENABLED": "true",
    }
    assert wanted.items() <= found.items()
    assert json.loads(found["EDITOR_KEYMAP"])["annotation:submit"]["key"] == "space"


def test_a_label_studio_that_ends_at_once_is_told_with_its_last_words(tmp_path):
    server = LocalLabelStudio(tmp_path / "ls", files_root=tmp_path, log=tmp_path / "log")
    command = ["sh", "-c", "echo no such database; exit 3"]
    server.child = Child("Label Studio", command, dict(os.environ), tmp_path / "log", tmp_path)
    with pytest.raises(LabelStudioDidNotStart, match=r"(?s)exit status 3.*no such database"):
        server.start()


def test_a_label_studio_that_took_another_port_is_found_there(tmp_path):
    """As it does, without a word, when the port was taken between our look and its start."""
    server = LocalLabelStudio(tmp_path / "ls", files_root=tmp_path, log=tmp_path / "log")
    wanted, taken = server.account.port, free_port()
    assert taken != wanted
    code = (
        "import http.server\n"
        "class Answer(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        f'        self.wfile.write(b\'{{"email": "{server.account.email}"}}\')\n'
        f"http.server.HTTPServer(('127.0.0.1', {taken}), Answer).serve_forever()"
    )
    command = [sys.executable, "-c", code]
    server.child = Child("Label Studio", command, dict(os.environ), tmp_path / "log", tmp_path)
    try:
        server.start()
        assert server.account.url == f"http://127.0.0.1:{taken}"
        assert Account.load(tmp_path / "ls") == server.account
    finally:
        stop([server.child])


def test_a_process_that_keeps_dying_is_given_up(home):
    home.mkdir()
    running = Stack()
    child = Child("worker", ["sh", "-c", "echo broken"], dict(os.environ), home / "log", home)
    running._children.append(child)
    child.start()
    with pytest.raises(HeroServiceError, match=r"(?s)worker ended again.*broken"):
        while True:
            running.check()
    assert child.starts == 1 + stack.RESTARTS_ALLOWED


def test_signals_interrupt_and_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
