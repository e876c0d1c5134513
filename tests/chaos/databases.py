"""The databases that a life may have, and what happens to them."""

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psycopg

from tests.chaos.later import Later
from tests.postgres import Postgres


class Database(Protocol):
    """A database of one life."""

    url: str

    def troubles(self) -> dict[str, Callable[[random.Random, Later], None]]:
        """What can happen to it, by name."""
        ...


class Sqlite:
    """In the home folder."""

    url = ""

    def __init__(self, home: Path) -> None:
        self._file = home / "hero.db"

    def troubles(self) -> dict[str, Callable[[random.Random, Later], None]]:
        """See `Database`."""
        return {"database locked": self._lock}

    def _lock(self, rng: random.Random, later: Later) -> None:
        connection = sqlite3.connect(
            self._file, timeout=5, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:  # a full disk, or another that writes
            connection.close()
            return
        later(rng.uniform(0.5, 4), connection.close)


class Postgresql:
    """A database of its own on a server that is restarted."""

    def __init__(self, server: Postgres, name: str) -> None:
        self._server = server
        self.url = server.new_database(name)

    def troubles(self) -> dict[str, Callable[[random.Random, Later], None]]:
        """See `Database`."""
        return {
            "database crashed": self._crash,
            "database restarted": self._restart,
            "database away": self._away,
            "database connections ended": self._terminate,
        }

    def _crash(self, rng: random.Random, later: Later) -> None:
        self._server.end("immediate")
        self._server.start()

    def _restart(self, rng: random.Random, later: Later) -> None:
        self._server.end("fast")
        self._server.start()

    def _away(self, rng: random.Random, later: Later) -> None:
        """Nothing else happens meanwhile: two restarts at once are one."""
        self._server.end("fast")
        time.sleep(rng.uniform(0.5, 3))
        self._server.start()

    def _terminate(self, rng: random.Random, later: Later) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
