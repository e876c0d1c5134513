"""The connection to the database: SQLite (write-ahead log) or PostgreSQL, migrated when opened."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
)

from backend.errors import DatabaseUnavailable, DiskFull, SettingsInvalid
from backend.files import is_disk_full
from backend.settings import Settings
from backend.store import migrations
from backend.store.rows import Record, record


class Database:
    """Transactions that read, and transactions that write."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] | None = None) -> None:
        self._engine = engine
        self._now = now or (lambda: datetime.now(UTC))

    def now(self) -> datetime:
        """The time, by the clock that the rows' times are of."""
        return self._now()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Connect, and bring the tables up to date.

        Raises:
            SettingsInvalid: the URL is wrong.
            DatabaseUnavailable: the database does not answer.
        """
        return cls.connect(settings.sqlalchemy_url)

    @classmethod
    def connect(cls, url: str, now: Callable[[], datetime] | None = None) -> Self:
        """Like `open`, by SQLAlchemy URL; `now` replaces the clock."""
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "sqlite" and parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
            if engine.dialect.name == "sqlite":
                sa.event.listen(engine, "connect", _sqlite_connect)
                sa.event.listen(engine, "begin", _sqlite_begin)
            with _one_at_a_time(engine):
                _migrate(engine)
        except (ArgumentError, NoSuchModuleError) as error:
            raise SettingsInvalid(
                f"HERO_DATABASE_URL is no address of a database ({_first_line(error)}); correct "
                "it, such as postgresql://user:password@host/name."
            ) from error
        except (DBAPIError, OSError) as error:
            shown = url if "@" not in url else make_url(url).render_as_string(hide_password=True)
            reason = _first_line(error)
            advice = (
                "set HERO_HOME or HERO_DATABASE_URL to a place that can be written"
                if url.startswith("sqlite")
                else "start it or correct HERO_DATABASE_URL"
            )
            raise DatabaseUnavailable(
                f"Cannot open the database {shown}: {reason}; {advice}."
            ) from error
        return cls(engine, now)

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        engine = self._engine.execution_options(hero_write=True)
        try:
            with engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise _as_ours(error) from error

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise _as_ours(error) from error

    def _records(self, kind: type[Record], query: sa.Select[Any]) -> list[Record]:
        with self._read() as connection:
            return [record(kind, row) for row in connection.execute(query)]


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in (
        "busy_timeout=15000",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


_OURS = ("no such table", "no such column", "syntax error", "undefined")
"""Words of an operational error that is a fault of the statement, which does not pass."""


def _as_ours(error: DBAPIError) -> Exception:
    """What a database's error means; the error itself where it is a fault of ours."""
    if is_disk_full(error):
        return DiskFull(
            "Cannot write to the database: its disk is full; free space, nothing was changed."
        )
    said = _first_line(error)
    trouble = isinstance(error, (OperationalError, InterfaceError, InternalError))
    if error.connection_invalidated or (trouble and not any(word in said for word in _OURS)):
        return DatabaseUnavailable(
            f"The database does not answer ({said}); nothing was changed, try again."
        )
    return error


def _first_line(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return said[0] if said else type(error).__name__


def _one_at_a_time(engine: Engine) -> AbstractContextManager[object]:
    """Of two that turn a new file to WAL, SQLite refuses one without waiting."""
    file = engine.url.database
    if engine.dialect.name != "sqlite" or not file:
        return nullcontext()
    return FileLock(f"{file}.lock", timeout=60)


def _sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("hero_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine) -> None:
    """Apply the migrations that the database lacks; several processes may try at once."""
    with engine.connect() as connection:
        current = None
        if sa.inspect(connection).has_table("alembic_version"):
            current = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if current == migrations.HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.execution_options(hero_write=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(4846520)"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise DatabaseUnavailable(
                f"Cannot open the database: it stands at migration {current}, which this version "
                "does not know; update the version that runs here."
            ) from error
