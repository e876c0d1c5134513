"""A Label Studio, and the gateway to it."""

import contextlib
from collections.abc import Iterator

import pytest

from backend.errors import HeroServiceError
from backend.label_studio import Gateway
from backend.store import Store
from tests.e2e.service import Service


@pytest.fixture(scope="module")
def service(label_studio, request: pytest.FixtureRequest) -> Iterator[Service]:
    """Its web process runs, its worker does not."""
    home = label_studio.root / f"gateway-{request.path.stem}"
    service = Service(home, label_studio).start(worker=False)
    yield service
    service.stop()


@pytest.fixture
def gateway(service: Service) -> Gateway:
    return service.gateway


@pytest.fixture
def project_id(gateway: Gateway) -> Iterator[int]:
    project = gateway.ensure_project(Store.new_run_id("rose"), "one rose", "one rose")
    yield project.id
    with contextlib.suppress(HeroServiceError):
        gateway.delete_project(project.id)
