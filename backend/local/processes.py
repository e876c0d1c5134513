"""Child processes that never outlive the command that started them.

Each child leads a session of its own, so that a Ctrl-C reaches our command alone, which then ends
the children in order. Should our command itself be killed without a word, the kernel ends them
(Linux), and elsewhere the next start does, from the list that `remember` returns.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def _end_with_parent(parent: int) -> None:
    assert _LIBC is not None
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


class Child:
    """One supervised process, its process group, and its log file.

    Start it from the main thread: Linux ends a child together with the thread that forked it.
    """

    def __init__(
        self, name: str, command: Sequence[str], env: dict[str, str], log: Path, cwd: Path
    ) -> None:
        self.name = name
        self.log = log
        self.starts = 0
        self._command, self._env, self._cwd = list(command), env, cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, None before the first start."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """How it ended (negative: by that signal), None while it runs."""
        return self._process.poll() if self._process else None

    def listening_ports(self) -> set[int]:
        """The ports at which the process itself takes connections."""
        try:
            found = psutil.Process(self.pid).net_connections("tcp") if self.alive else []
        except psutil.Error:
            return set()
        return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}

    def start(self) -> None:
        """Starts the process, appending what it says to the log file; its files are ours alone."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log.touch(mode=0o600)
        parent = os.getpid()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077 if os.name == "posix" else -1,
                preexec_fn=(lambda: _end_with_parent(parent)) if _LIBC else None,
            )
        self.starts += 1

    def reap(self) -> None:
        """Waits for the end of a process that was told to end."""
        if self._process is not None:
            self._process.wait(timeout=10)

    def last_words(self, lines: int = 12) -> str:
        """The end of the log, for an error that has to explain itself."""
        try:
            text = self.log.read_bytes()[-20_000:].decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])


def stop(children: Sequence[Child], seconds: float = 10) -> None:
    """Ends the children and everything they started: politely, and after `seconds` by force."""
    family = _families(child.pid for child in children if child.alive)
    for process in family:
        _quietly(process.terminate)
    _, stubborn = psutil.wait_procs(family, timeout=seconds)
    for process in [*stubborn, *_families(process.pid for process in stubborn)]:
        _quietly(process.kill)
    psutil.wait_procs(stubborn, timeout=5)
    for child in children:
        child.reap()


def remember(children: Iterable[Child]) -> list[dict[str, float]]:
    """What identifies the running children later on, although process ids are used again."""
    return [
        {"pid": child.pid, "created": psutil.Process(child.pid).create_time()}
        for child in children
        if child.alive and child.pid
    ]


def running(remembered: Iterable[dict[str, float]]) -> list[psutil.Process]:
    """Those of the remembered processes that are still there."""
    found = []
    for entry in remembered:
        try:
            process = psutil.Process(int(entry["pid"]))
            if abs(process.create_time() - entry["created"]) < 1 and (
                process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def end_leftovers(remembered: Iterable[dict[str, float]]) -> int:
    """Ends remembered processes whose command was killed before it could; how many there were."""
    family = _families(process.pid for process in running(remembered))
    for process in family:
        _quietly(process.terminate)
    _, stubborn = psutil.wait_procs(family, timeout=10)
    for process in stubborn:
        _quietly(process.kill)
    return len(family)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now (nobody answers, and binding works)."""
    family = _family(host)
    with socket.socket(family) as probe:
        probe.settimeout(1)
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        if probe.connect_ex((here, port)) == 0:
            return False
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(*preferred: int | None, host: str = "127.0.0.1") -> int:
    """The first preferred port that is free, or one the system chooses."""
    for port in preferred:
        if port and port_is_free(port, host):
            return port
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def wait_until(
    ready: Callable[[], bool], *, seconds: float, every: float = 0.25, alive: Callable[[], bool]
) -> bool:
    """Waits for `ready`; False when the time is over or what we wait for is no longer alive."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if ready():
            return True
        if not alive():
            return False
        time.sleep(every)
    return False


def _families(pids: Iterable[int | None]) -> list[psutil.Process]:
    family: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            for member in [process, *process.children(recursive=True)]:
                family[member.pid] = member
        except psutil.NoSuchProcess:
            continue
    return list(family.values())


def _quietly(action: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        action()
