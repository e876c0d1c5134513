"""Who may see the run pages."""

import base64

import pytest
from flask.testing import FlaskClient

from backend.dashboard.access import is_loopback, needs_no_login
from backend.settings import Settings
from backend.store import Store
from backend.web.app import create_app
from tests.backend.dashboard.reading import HTML
from tests.backend.made_runs import MadeRun


class TestAccess:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
    def test_loopback(self, host: str):
        assert is_loopback(host)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "hero.example.com"])
    def test_others(self, host: str):
        assert not is_loopback(host)

    def test_a_name_that_points_here_is_not_here(self, settings: Settings):
        assert needs_no_login(settings, "127.0.0.1", "localhost:9090")
        assert needs_no_login(settings, "::1", "[::1]:9090")
        assert not needs_no_login(settings, "127.0.0.1", "rebound.example.com:9090")
        assert not needs_no_login(settings, "192.168.1.7", "localhost:9090")
        assert not needs_no_login(settings, None, "localhost:9090")

    def test_a_proxy_on_this_machine_asks_for_others(self, settings: Settings, client: FlaskClient):
        assert client.get("/runs").status_code == 200
        for name in ("X-Forwarded-For", "Forwarded", "Via"):
            assert client.get("/runs", headers={name: "203.0.113.9"}).status_code == 401
        published = settings.model_copy(update={"public_url": "https://hero.example.org"})
        assert not needs_no_login(published, "127.0.0.1", "127.0.0.1:9090")
        local = settings.model_copy(update={"public_url": "http://localhost:9090"})
        assert needs_no_login(local, "127.0.0.1", "127.0.0.1:9090")

    def test_a_server_for_others_asks_for_the_password(
        self, settings: Settings, store: Store, made: MadeRun
    ):
        open_to_all = settings.model_copy(update={"host": "0.0.0.0"})
        client = create_app(open_to_all, store).test_client()
        run, epoch = f"/runs/{made.id}", f"/runs/{made.id}/epochs/1"
        pictures = (f"{epoch}/images/0", f"{epoch}/thumbnails/0", f"{epoch}/mosaic")
        password = base64.b64encode(b"hero:open sesame").decode()
        for path in ("/runs", run, epoch, *pictures, "/runs-assets/dashboard.css", "/runs/nothing"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
            assert made.run.prompt not in answer.get_data(as_text=True)
            answer = client.get(path, headers={"Authorization": f"Basic {password}"})
            assert answer.status_code == (404 if "nothing" in path else 200)

    def test_pages_only_read(self, client: FlaskClient, made: MadeRun):
        for path in ("/runs", f"/runs/{made.id}", f"/runs/{made.id}/epochs/1"):
            assert client.post(path).status_code in (401, 405)

    def test_headers_keep_the_page_to_itself(self, client: FlaskClient, made: MadeRun):
        headers = client.get(f"/runs/{made.id}").headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "private" in headers["Cache-Control"]

    def test_a_browser_at_the_root_is_led_to_the_runs(self, client: FlaskClient):
        assert client.get("/", headers=HTML).headers["Location"] == "/runs"
        assert client.get("/", headers={"Accept": "*/*"}).get_json()["status"] == "UP"
        assert client.get("/health", headers=HTML).get_json()["status"] == "UP"
