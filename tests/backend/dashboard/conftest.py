"""The run pages, as a browser asks for them."""

import pytest
from flask.testing import FlaskClient

from backend.dashboard.access import COOKIE, Role, new_cookie
from backend.settings import Settings
from backend.store import Store
from backend.web.app import create_app
from tests.backend.dashboard.reading import BALLOTS
from tests.backend.made_runs import MadeRun


@pytest.fixture
def client(settings: Settings, store: Store) -> FlaskClient:
    """A browser that was let in to look."""
    return let_in(settings, store, Role.guest)


@pytest.fixture
def owner(settings: Settings, store: Store) -> FlaskClient:
    """A browser that may do everything."""
    return let_in(settings, store, Role.owner)


def let_in(settings: Settings, store: Store, role: Role) -> FlaskClient:
    browser = create_app(settings, store).test_client()
    browser.set_cookie(COOKIE, new_cookie(settings, role))
    return browser


@pytest.fixture
def made(settings: Settings, store: Store) -> MadeRun:
    made = MadeRun(settings, store, annotators_per_image=2)
    made.go_round(*BALLOTS)
    return made
