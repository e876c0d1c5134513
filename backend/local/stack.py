"""`hero up`: Label Studio, the backend's web server and the worker, as one thing to start and end.

Whoever enters a `Stack` gets all three healthy, or an error and none. Leaving it ends them. What
other commands need to find them stands in `<home>/env`, what is running in `<home>/up.json`.
"""

import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

import httpx
from filelock import FileLock, Timeout

from backend.addresses import at, get
from backend.errors import (
    AlreadyRunning,
    LabelStudioUnreachable,
    PortInUse,
    ProcessDied,
)
from backend.files import write_text
from backend.local import processes
from backend.local.label_studio_server import (
    LOCK_SECONDS,
    Account,
    LocalLabelStudio,
    no_proxy_for_loopback,
)
from backend.local.processes import Child
from backend.local.torch_environment import TORCH_ENVIRONMENT
from backend.settings import Settings, ensure_secrets, protect, write_env
from backend.store import Store

RESTARTS_ALLOWED = 5
RESTARTS_WITHIN_SECONDS = 600.0


@dataclass(frozen=True)
class Address:
    """Where to look at it all; e-mail and password only of a Label Studio of our own."""

    label_studio: str
    email: str | None
    password: str | None
    backend: str
    logs: Path


class Stack:
    """The processes of one home folder.

    Args:
        home: the home folder; None for HERO_HOME.
        lock_seconds: for so long a task that somebody has open is given to nobody else, in a Label
            Studio of our own.
        say: told what is being waited for, in words.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        lock_seconds: int = LOCK_SECONDS,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._lock_seconds = lock_seconds
        self.settings = Settings.load(home)
        self._say = say
        self._children: list[Child] = []
        self._restarts: deque[float] = deque()
        self._own: LocalLabelStudio | None = None
        self._umask: int | None = None
        self._lock = FileLock(self.settings.home / "up.lock", mode=0o600)

    def __enter__(self) -> Self:
        self._take_home()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def address(self) -> Address:
        """Where the running processes are found."""
        account = self._own.account if self._own else None
        return Address(
            label_studio=self.settings.label_studio_url,
            email=account.email if account else None,
            password=account.password if account else None,
            backend=self.settings.backend_url,
            logs=self._logs,
        )

    def check(self) -> None:
        """Starts again what has died; to be called every second or so, from the main thread.

        Raises:
            ProcessDied: a process dies again and again.
        """
        for child in self._children:
            if child.alive:
                continue
            now = time.monotonic()
            while self._restarts and now - self._restarts[0] > RESTARTS_WITHIN_SECONDS:
                self._restarts.popleft()
            if len(self._restarts) >= RESTARTS_ALLOWED:
                raise ProcessDied(
                    f"The {child.name} ended again (exit status {child.exit_status}) after "
                    f"{len(self._restarts)} new starts; the end of {child.log} is:\n"
                    f"{child.last_words()}"
                )
            self._restarts.append(now)
            self._say(f"the {child.name} had ended (see {child.log}) and is started again")
            child.start()
            self._write_up()

    def close(self) -> None:
        """Ends every process. Further signals wait until that is done."""
        with _signals_held():
            processes.stop(self._children)
            self._children.clear()
            if self._umask is not None:
                os.umask(self._umask)
                self._umask = None
            if self._lock.is_locked:
                self._up_file.unlink(missing_ok=True)
                self._lock.release()

    @property
    def _logs(self) -> Path:
        return self.settings.home / "logs"

    @property
    def _up_file(self) -> Path:
        return self.settings.home / "up.json"

    def _take_home(self) -> None:
        home = self.settings.home
        protect(home)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise AlreadyRunning(
                f"HERO is already running on {home} ({_described(self._up_file)}): end that one "
                "first, or set HERO_HOME to another folder."
            ) from None
        self._umask = os.umask(0o077)
        processes.end_leftovers(_read(self._up_file).get("children", []))

    def _start(self) -> None:
        self.settings = ensure_secrets(self.settings)
        self._choose_port()
        Store.open(self.settings).close()
        data = self.settings.home / "label-studio"
        if _own_label_studio(self.settings, data):
            self.settings.home.chmod(0o700)  # it is ours: nobody else needs to enter
            self._start_label_studio(data)
        else:
            self._say(f"asking the Label Studio at {self.settings.label_studio_url}")
            _check_answers(self.settings.label_studio_url)
        self._choose_port()  # again: Label Studio's first start gives others time to take it
        self._say("the backend and the worker start")
        web = self._child("web server", [sys.executable, "-m", "backend.web"], "web.log")
        worker = self._child("worker", [sys.executable, "-m", "backend.worker"], "worker.log")
        health = f"{_reachable(self.settings)}/health"
        if not processes.wait_until(lambda: _answers(health), seconds=300, alive=lambda: web.alive):
            raise ProcessDied(
                f"The web server did not come up on port {self.settings.port}; the end of "
                f"{web.log} is:\n{web.last_words()}"
            )
        if not worker.alive:
            raise ProcessDied(
                f"The worker ended at once; the end of {worker.log} is:\n{worker.last_words()}"
            )

    def _start_label_studio(self, data: Path) -> None:
        self._own = LocalLabelStudio(
            data,
            files_root=self.settings.files_root,
            log=self._logs / "label-studio.log",
            extra_env={"TASK_LOCK_TTL": str(self._lock_seconds)},
        )
        self._children.append(self._own.child)
        self._say(
            "Label Studio's first start: it makes its database, about 40 s"
            if self._own.first_start
            else "Label Studio starts: about 10 s"
        )
        self._own.start()
        account = self._own.account
        self._write_env(LABEL_STUDIO_URL=account.url, LABEL_STUDIO_API_KEY=account.token)
        self._write_up()

    def _choose_port(self) -> None:
        wanted, host = self.settings.port, self.settings.host
        if processes.port_is_free(wanted, host):
            port = wanted
        elif "HERO_PORT" in os.environ:
            raise PortInUse(
                f"The backend cannot listen on {host}:{wanted}, because another program does: "
                "set HERO_PORT to a free port."
            )
        else:
            port = processes.free_port(host=host)
        self._write_env(HERO_PORT=str(port))

    def _write_env(self, **values: str) -> None:
        write_env(self.settings.home, values)
        self.settings = Settings.load(self.settings.home)

    def _child(self, name: str, command: list[str], log: str) -> Child:
        settings = self.settings
        env = {
            **TORCH_ENVIRONMENT,
            **os.environ,
            **no_proxy_for_loopback(),
            "HERO_HOME": str(settings.home),
            "HERO_HOST": settings.host,
            "HERO_PORT": str(settings.port),
            "LABEL_STUDIO_URL": settings.label_studio_url,
            "LABEL_STUDIO_API_KEY": settings.label_studio_api_key.get_secret_value(),
            "PYTHONUNBUFFERED": "1",
        }
        child = Child(name, command, env, self._logs / log, Path.cwd())
        self._children.append(child)
        child.start()
        self._write_up()
        return child

    def _write_up(self) -> None:
        state = {
            "pid": os.getpid(),
            "label_studio": self.settings.label_studio_url,
            "backend": self.settings.backend_url,
            "children": processes.remember(self._children),
        }
        write_text(self._up_file, json.dumps(state, indent=1))


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, Ctrl-C, SIGTERM and a closed terminal all raise KeyboardInterrupt, even where the
    shell that started us in the background told us to ignore them."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _signals_held() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signals() -> list[signal.Signals]:
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _own_label_studio(settings: Settings, data: Path) -> bool:
    """No address is set, or the one in the env file is where ours was last time."""
    if os.environ.get("LABEL_STUDIO_URL") or os.environ.get("LABEL_STUDIO_HOST"):
        return False
    account = Account.load(data)
    return not settings.label_studio_url or (
        account is not None and settings.label_studio_url == account.url
    )


def _check_answers(url: str) -> None:
    if not _answers(f"{url}/health"):
        raise LabelStudioUnreachable(
            f"No Label Studio answers at {url}: start it, or correct LABEL_STUDIO_URL, or unset it "
            "and `hero up` starts one."
        )


def _answers(address: str) -> bool:
    try:
        return get(address, timeout=3).is_success
    except httpx.HTTPError:
        return False


def _reachable(settings: Settings) -> str:
    return at(settings.host, settings.port)


def _read(path: Path) -> dict[str, Any]:
    try:
        entries: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return entries


def _described(up_file: Path) -> str:
    up = _read(up_file)
    return f"process {up['pid']}, Label Studio at {up['label_studio']}" if up else "just starting"
