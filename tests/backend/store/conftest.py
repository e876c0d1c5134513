"""The store, on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator

import pytest

from backend.store import Store
from tests.backend.conftest import Clock


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[Store]:
    store = Store.connect(database_url, clock)
    yield store
    store.close()
