"""The run pages, as a browser asks for them."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from backend.dashboard.access import COOKIE, new_cookie
from backend.settings import Settings
from backend.store import Store
from backend.web.app import create_app
from tests.backend.dashboard.reading import BALLOTS
from tests.backend.made_runs import MadeRun


@pytest.fixture
def client(settings: Settings, store: Store) -> Iterator[FlaskClient]:
    """A browser that was let in."""
    with create_app(settings, store).test_client() as client:
        client.set_cookie(COOKIE, new_cookie(settings))
        yield client


@pytest.fixture
def made(settings: Settings, store: Store) -> MadeRun:
    made = MadeRun(settings, store, annotators_per_image=2)
    made.go_round(*BALLOTS)
    return made
