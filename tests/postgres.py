"""A PostgreSQL server of the tests' own, from whatever package is installed."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import pytest


class Postgres:
    """A server on a socket in `home`; with a port, on 127.0.0.1 too.

    Args:
        password: of the superuser `hero`, who is let in without one if there is none.
    """

    def __init__(self, *, password: str | None = None, port: int | None = None) -> None:
        binaries = _binaries()
        if binaries is None:
            pytest.skip("no PostgreSQL server here: install the package postgresql")
        self.binaries = binaries
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            if not shutil.which("runuser") or subprocess.run(["id", "postgres"]).returncode:
                pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
            self._as_user = ["runuser", "-u", "postgres", "--"]
        # Not below pytest's folder, which only its owner may enter; and short, for the socket.
        self.home = Path(tempfile.mkdtemp(prefix="hero-postgres-"))
        file = self.home / "password"
        file.write_text(password or "")
        if self._as_user:
            shutil.chown(self.home, "postgres")
            shutil.chown(file, "postgres")
        secret = ["-A", "scram-sha-256", "--pwfile", str(file)] if password else ["-A", "trust"]
        data = ["-D", str(self.home / "data")]
        self._run("initdb", *data, "-U", "hero", *secret, "-E", "UTF8", "--no-sync")
        address = f"-c listen_addresses=127.0.0.1 -p {port}" if port else "-c listen_addresses=''"
        self._options = f"{address} -c unix_socket_directories='{self.home}' -c fsync=off"
        self.start()

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        data, log = str(self.home / "data"), str(self.home / "log")
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", self._options, "start")

    def end(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Ends the server and keeps its data; `immediate` is as if it had crashed."""
        self._run("pg_ctl", "-D", str(self.home / "data"), "-w", "-m", mode, "stop")

    def new_database(self, name: str) -> str:
        """The URL of an empty database, for a server without a password."""
        self._run("createdb", "-h", str(self.home), "-U", "hero", name)
        return f"postgresql://hero@/{name}?host={self.home}"

    def stop(self) -> None:
        """Ends the server; its data goes."""
        self.end("immediate")
        shutil.rmtree(self.home)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self.binaries / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.home)


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    for folder in reversed(found):
        if (folder / "initdb").exists():
            return folder
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None
