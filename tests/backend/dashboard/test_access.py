"""Who may see the run pages."""

from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from backend.dashboard import access
from backend.settings import Settings
from backend.store import Store
from backend.web.app import create_app
from tests.backend.dashboard.reading import HTML
from tests.backend.made_runs import MadeRun
from tests.backend.web.knocking import basic


@pytest.fixture
def stranger(settings: Settings, store: Store) -> FlaskClient:
    """A browser that nobody let in."""
    return create_app(settings, store).test_client()


def path_of(link: str) -> str:
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"


class TestWithoutCookie:
    def test_pages_ask_who_one_is(self, stranger: FlaskClient, made: MadeRun):
        run, epoch = f"/runs/{made.id}", f"/runs/{made.id}/epochs/1"
        label = f"{run}/label"
        pictures = (f"{epoch}/images/0", f"{epoch}/thumbnails/0", f"{epoch}/mosaic")
        for path in ("/runs", run, label, epoch, *pictures, "/runs/nothing"):
            for headers in ({}, basic(), {"Host": "localhost:9090"}, {"Cookie": "hero_pages=x"}):
                answer = stranger.get(path, headers=headers)
                assert answer.status_code == 401
                assert "hero link" in answer.get_data(as_text=True)
                assert made.run.prompt not in answer.get_data(as_text=True)
                assert "WWW-Authenticate" not in answer.headers

    def test_without_a_password_no_page_asks_for_one(self, stranger: FlaskClient):
        assert "<form" not in stranger.get("/runs").get_data(as_text=True)
        answer = stranger.post("/login", json={"password": ""})
        assert answer.status_code == 401

    def test_the_page_has_its_style(self, stranger: FlaskClient):
        assert stranger.get("/runs-assets/dashboard.css").status_code == 200


class TestLink:
    def test_it_leads_in_once(self, stranger: FlaskClient, settings: Settings, made: MadeRun):
        link = access.link(settings, made.id)
        assert link.startswith(f"{settings.backend_url}/login?token=")
        assert stranger.head(path_of(link)).status_code == 204
        answer = stranger.get(path_of(link))
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/runs/{made.id}")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert stranger.get(f"/runs/{made.id}").status_code == 200
        assert stranger.get(f"/runs/{made.id}/epochs/1/images/0").status_code == 200

    def test_it_can_lead_to_the_page_to_label_on(
        self, stranger: FlaskClient, settings: Settings, made: MadeRun
    ):
        answer = stranger.get(path_of(access.link(settings, made.id, to_label=True)))
        assert answer.headers["Location"] == f"/runs/{made.id}/label"
        assert stranger.get(f"/runs/{made.id}/label").status_code == 200

    def test_nobody_uses_it_again(self, settings: Settings, store: Store):
        link = path_of(access.link(settings))
        assert create_app(settings, store).test_client().get(link).status_code == 303
        again = create_app(settings, store).test_client()  # after a new start of the server, too
        assert again.get(link).status_code == 401
        assert again.get("/runs").status_code == 401

    def test_it_is_of_this_server_and_of_today(
        self, stranger: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ):
        other = settings.model_copy(update={"cookie_key": settings.webhook_secret})
        assert stranger.get(path_of(access.link(other))).status_code == 401
        link = path_of(access.link(settings))
        monkeypatch.setattr(access, "LINK_SECONDS", -1)
        assert stranger.get(link).status_code == 401

    def test_what_it_leads_to_is_a_page_of_ours(self, settings: Settings, stranger: FlaskClient):
        link = path_of(access.link(settings, "/evil.example.com"))
        location = stranger.get(link).headers["Location"]
        assert location == "/runs/%2Fevil.example.com"

    def test_guessing_is_slowed_down(self, stranger: FlaskClient, settings: Settings):
        statuses = [stranger.get("/login?token=guess").status_code for _ in range(20)]
        assert (statuses[0], statuses[-1]) == (401, 429)
        assert stranger.get(path_of(access.link(settings))).status_code == 429


class TestCookie:
    def test_it_is_for_the_server_alone(self, stranger: FlaskClient, settings: Settings):
        answer = stranger.get(path_of(access.link(settings)))
        cookie = answer.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert "Secure" not in cookie

    def test_over_https_it_goes_by_nothing_else(self, settings: Settings, store: Store):
        public = settings.model_copy(update={"public_url": "https://hero.example.org"})
        link = access.link(public)
        assert link.startswith("https://hero.example.org/login?")
        answer = create_app(public, store).test_client().get(path_of(link))
        assert "Secure" in answer.headers["Set-Cookie"].split("; ")

    def test_it_ends_with_another_password_or_key_and_with_time(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ):
        cookie = access.new_cookie(settings)
        assert access.role_of(settings, cookie) is access.Role.guest
        for name in ("pages_password", "cookie_key"):
            other = settings.model_copy(update={name: SecretStr("another")})
            assert access.role_of(other, cookie) is None
        for wrong in (None, "", "x", cookie[:-1], "\ud800", "a.b.c"):
            assert access.role_of(settings, wrong) is None
        monkeypatch.setattr(access, "COOKIE_SECONDS", -1)
        assert access.role_of(settings, cookie) is None

    def test_one_of_an_earlier_version_may_look(self, settings: Settings):
        earlier = access._cookies(settings).sign("owner-like-letters").decode()
        assert access.role_of(settings, earlier) is access.Role.guest

    def test_a_link_is_no_cookie(self, settings: Settings):
        token = access.link(settings).partition("token=")[2]
        assert access.role_of(settings, token) is None
        assert access.follow(settings, access.new_cookie(settings)) is None


class TestRole:
    def role(self, client: FlaskClient, settings: Settings) -> access.Role | None:
        cookie = client.get_cookie(access.COOKIE)
        return access.role_of(settings, cookie.value if cookie else None)

    def test_a_link_says_what_one_may_do(self, stranger: FlaskClient, settings: Settings):
        assert self.role(stranger, settings) is None
        stranger.get(path_of(access.link(settings, role=access.Role.guest)))
        assert self.role(stranger, settings) is access.Role.guest
        stranger.get(path_of(access.link(settings)))
        assert self.role(stranger, settings) is access.Role.owner

    def test_an_owner_stays_one(self, stranger: FlaskClient, settings: Settings, made: MadeRun):
        stranger.get(path_of(access.link(settings)))
        to_label = access.link(settings, made.id, to_label=True, role=access.Role.guest)
        assert stranger.get(path_of(to_label)).headers["Location"] == f"/runs/{made.id}/label"
        assert self.role(stranger, settings) is access.Role.owner


class TestPassword:
    @pytest.fixture
    def stranger(self, settings: Settings, store: Store) -> FlaskClient:
        team = settings.model_copy(update={"pages_password": SecretStr("our roses")})
        return create_app(team, store).test_client()

    def test_it_lets_in(self, stranger: FlaskClient):
        assert "<form" in stranger.get("/runs").get_data(as_text=True)
        answer = stranger.post("/login", json={"password": "our roses"})
        assert answer.status_code == 204
        assert stranger.get("/runs").status_code == 200
        assert "Start a run" not in stranger.get("/runs").get_data(as_text=True)

    @pytest.mark.parametrize("password", ["", "wrong", "open sesame", "the secret", None, 1, ["x"]])
    def test_others_do_not(self, stranger: FlaskClient, password: object):
        assert stranger.post("/login", json={"password": password}).status_code == 401
        assert stranger.get("/runs").status_code == 401

    def test_only_our_own_page_sends_it(self, stranger: FlaskClient):
        form = {"password": "our roses"}
        assert stranger.post("/login", data=form).status_code == 415
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert stranger.post("/login", json=form, headers=foreign).status_code == 403

    def test_guessing_is_slowed_down(self, stranger: FlaskClient):
        tries = [stranger.post("/login", json={"password": f"{n}"}) for n in range(200)]
        assert sum(answer.status_code == 401 for answer in tries) < 20
        assert tries[-1].headers["Retry-After"]
        assert stranger.post("/login", json={"password": "our roses"}).status_code == 429

    def test_it_opens_nothing_else(self, stranger: FlaskClient):
        answer = stranger.get("/metrics", headers=basic(password="our roses"))
        assert answer.status_code == 401


def test_pages_only_read(client: FlaskClient, made: MadeRun):
    for path in ("/runs", f"/runs/{made.id}", f"/runs/{made.id}/epochs/1"):
        assert client.post(path).status_code in (401, 405)


def test_headers_keep_the_page_to_itself(client: FlaskClient, made: MadeRun):
    headers = client.get(f"/runs/{made.id}").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "private" in headers["Cache-Control"]
    picture = client.get(f"/runs/{made.id}/epochs/1/images/0").headers
    assert picture["Cache-Control"] == "private, max-age=60"


def test_a_browser_at_the_root_is_led_to_the_runs(client: FlaskClient):
    assert client.get("/", headers=HTML).headers["Location"] == "/runs"
    assert client.get("/", headers={"Accept": "*/*"}).get_json()["status"] == "UP"
    assert client.get("/health", headers=HTML).get_json()["status"] == "UP"
