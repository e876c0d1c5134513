"""The gateway against a real Label Studio: a sentence for what goes wrong."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest

from backend.errors import (
    BackendUnreachable,
    LabelStudioUnreachable,
    NotLabelStudio,
    PrivateAddressRefused,
    SettingsInvalid,
    TokenRefused,
)
from backend.local.processes import free_port
from backend.store import Store
from tests.e2e.conftest import running
from tests.e2e.gateway.published import changed
from tests.e2e.service import Service
from tests.label_studio_data import version

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


class Strange(BaseHTTPRequestHandler):
    """A server that is not Label Studio."""

    def do_GET(self) -> None:
        body = {"/page": b"<html>hello</html>", "/json": b'{"a": 1}'}.get(
            "/" + self.path.split("/")[1], b"not found"
        )
        self.send_response(200 if body != b"not found" else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture(scope="module")
def strange() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestTrouble:
    def test_both_kinds_of_token_are_taken(self, service: Service):
        assert service.gateway.ping().email == service.label_studio.email
        personal = changed(service, label_studio_api_key=service.label_studio.pat())
        assert personal.ping().version == version()
        assert list(personal.emails().values())

    @pytest.mark.parametrize(
        ("token", "said"),
        [
            ("", "is not set"),
            ("wrong", "it looks like a legacy token"),
            ("with\nbreak", "characters"),
            ("ü", "characters"),
            ("expired", "expired"),
            ("forged", "it looks like a personal access token"),
        ],
    )
    def test_a_wrong_token(self, service: Service, token: str, said: str):
        years = {"expired": 2020, "forged": 2090}
        if token in years:
            claims = {"exp": datetime(years[token], 1, 1, tzinfo=UTC), "token_type": "refresh"}
            token = jwt.encode(claims, "k" * 32, algorithm="HS256")
        with pytest.raises(TokenRefused, match=said) as caught:
            changed(service, label_studio_api_key=token).ping()
        assert caught.value.exit_status == 2
        assert "LABEL_STUDIO_API_KEY" in str(caught.value)
        assert not token or token not in str(caught.value)

    def test_legacy_tokens_switched_off(self, service: Service):
        owner = service.label_studio.login()
        both = {"api_tokens_enabled": True}
        owner.post("/api/jwt/settings", json={**both, "legacy_api_tokens_enabled": False})
        try:
            with pytest.raises(TokenRefused, match="personal access token"):
                changed(service).ping()
        finally:
            owner.post("/api/jwt/settings", json={**both, "legacy_api_tokens_enabled": True})
        assert service.gateway.ping()

    def test_nobody_there(self, service: Service):
        gateway = changed(service, label_studio_url=f"http://127.0.0.1:{free_port()}")
        with pytest.raises(LabelStudioUnreachable, match="LABEL_STUDIO_URL"):
            gateway.ping()

    @pytest.mark.parametrize("path", ["", "/page", "/json"])
    def test_something_else_is_there(self, service: Service, strange: str, path: str):
        with pytest.raises(NotLabelStudio, match="not Label Studio"):
            changed(service, label_studio_url=f"{strange}{path}").ping()

    def test_an_address_with_a_path_of_label_studios(self, service: Service):
        wrong = f"{service.settings.label_studio_url}/projects"
        with pytest.raises(NotLabelStudio):
            changed(service, label_studio_url=wrong).ping()

    def test_no_address(self, service: Service):
        with pytest.raises(SettingsInvalid, match="hero up"):
            changed(service, label_studio_url="")

    def test_errors_hold_no_secrets(self, service: Service, project_id: int):
        with pytest.raises(BackendUnreachable) as caught:
            changed(service, port=free_port()).connect_backend(project_id)
        for secret in ("label_studio_api_key", "basic_auth_pass", "webhook_secret"):
            assert getattr(service.settings, secret).get_secret_value() not in str(caught.value)
        assert "session" not in json.dumps(str(caught.value))


def test_a_label_studio_that_refuses_private_addresses(
    service: Service, empty_label_studio: Path, tmp_path: Path
):
    wary = {"SSRF_PROTECTION_ENABLED": "true", "ML_BLOCK_LOCAL_IP": "true"}
    with running(empty_label_studio, tmp_path, **wary) as found:
        gateway = changed(service, label_studio_url=found.url, label_studio_api_key=found.token)
        project = gateway.ensure_project(Store.new_run_id("rose"), "one rose", "one rose")
        with pytest.raises(PrivateAddressRefused, match="SSRF_PROTECTION_ENABLED=false"):
            gateway.connect_backend(project.id)
