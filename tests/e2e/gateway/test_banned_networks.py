"""The list of docs/security.md: Label Studio reaches the backend's network, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from label_studio_sdk.core.api_error import ApiError
from packaging.version import Version

from backend.label_studio import Gateway
from tests.e2e.conftest import running
from tests.e2e.service import Service
from tests.label_studio_data import version

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

PAGE = Path(__file__).parents[3] / "docs" / "security.md"
HERE, ELSEWHERE = "127.0.0.0/8", "10.0.0.0/8"
"""The backend of this test is on the first, that of the page on the second."""


def listed() -> dict[str, str]:
    found = dict(re.findall(r"^([A-Z_]+)=(\S+)$", PAGE.read_text(), re.M))
    assert found.keys() == {"USE_DEFAULT_BANNED_SUBNETS", "USER_ADDITIONAL_BANNED_SUBNETS"}
    return found


@pytest.fixture
def service(empty_label_studio: Path, tmp_path: Path) -> Iterator[Service]:
    given = listed()
    networks = given["USER_ADDITIONAL_BANNED_SUBNETS"].split(",")
    assert HERE in networks and ELSEWHERE not in networks
    networks[networks.index(HERE)] = ELSEWHERE
    given["USER_ADDITIONAL_BANNED_SUBNETS"] = ",".join(networks)
    on = {"SSRF_PROTECTION_ENABLED": "true", "ML_BLOCK_LOCAL_IP": "true"}
    with running(empty_label_studio, tmp_path, **given, **on) as found:
        service = Service(found.root / "home", found).start(worker=False)
        yield service
        service.stop()


def test_the_backend_is_reached_and_other_private_addresses_are_not(service: Service):
    gateway: Gateway = service.gateway
    project_id = gateway.ensure_project("rose", "one rose", "one rose").id
    gateway.connect_backend(project_id)
    [backend] = service.sdk.ml.list(project=project_id)
    assert backend.state == "CO"
    for host in ("169.254.169.254", "10.1.2.3", "192.168.1.1", "[::1]"):
        with pytest.raises(ApiError):
            service.sdk.ml.create(project=project_id, url=f"http://{host}:80", title="x")
        if Version(version()) < Version("1.23"):  # the page says so
            continue
        with pytest.raises(ApiError):
            service.sdk.webhooks.create(project=project_id, url=f"http://{host}/x")
