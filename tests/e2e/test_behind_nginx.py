"""Label Studio wherever it stands: a run goes round in each place, from the doctor to the last
verdict, with images fetched from where a browser looks for them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend import addresses, doctor
from backend.doctor.trial import address_in_a_page
from backend.label_studio.browser_session import Member
from backend.local.processes import free_port, wait_until
from backend.run.records import Run
from backend.run.states import State
from backend.tasks.label_config import template, verdict_control
from backend.worker.liveness import is_alive
from tests.e2e import browser
from tests.e2e.conftest import RunningLabelStudio, running
from tests.e2e.nginx import NAME, nginx, of_the_page, plain
from tests.e2e.proxies import Kind, proxy
from tests.e2e.service import Service
from tests.hero_engine.tiny import save_pipeline

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

VERDICTS = ["good", "best", "bad", "bad"]
PASSWORD = "a password of ada's"
PATH = "/studio"


@dataclass
class Place:
    """A Label Studio, and by which addresses it is known."""

    label_studio: RunningLabelStudio
    inside: str
    """At which the backend reaches it."""
    public: str = ""
    """At which people do; empty for the same."""
    backend: dict[str, Any] = field(default_factory=dict)
    """Further settings of the service."""

    @contextmanager
    def service(self) -> Iterator[Service]:
        found = Service(
            self.label_studio.root / "home",
            replace(self.label_studio, url=self.inside),
            label_studio_public_url=self.public,
            poll_seconds=3600,
            **self.backend,
        ).start()
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("model"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(empty_label_studio: Path, tmp_path: Path, stack: ExitStack):
    return lambda **env: stack.enter_context(running(empty_label_studio, tmp_path / "ls", **env))


def port_of(url: str) -> int:
    return httpx.URL(url).port or 0


def behind_the_page(
    start: Any, stack: ExitStack, folder: Path, env: pytest.MonkeyPatch, *, name: str = NAME
) -> tuple[RunningLabelStudio, int, int]:
    """Label Studio below a path behind TLS, as docs/teams.md says; nginx's port and that of the
    backend."""
    https, backend = free_port(), free_port()
    origin = f"https://{name}" if name == NAME else f"https://{name}:{https}"
    found = start(LABEL_STUDIO_HOST=f"{origin}{PATH}", CSRF_TRUSTED_ORIGINS=origin)
    block = of_the_page(folder, https=https, label_studio=port_of(found.url), backend=backend)
    stack.enter_context(nginx(folder / "nginx", block, {https}))
    env.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    return found, https, backend


def looked_at(service: Service) -> dict[str, doctor.Finding]:
    """What the doctor finds, while a worker runs."""
    assert wait_until(lambda: is_alive(service.settings), seconds=60, alive=lambda: True)
    found = {each.name: each for each in doctor.examine(service.settings)}
    assert [each for each in found.values() if each.level == "FAIL"] == []
    for name in ("annotators", "image store", "Label Studio -> backend", "webhook round trip"):
        assert found[name].level == "ok", found[name]
    return found


def go_round(service: Service, pipeline: Path, seen: Any = None) -> Run:
    """One epoch, labelled by somebody who came in by the invitation."""
    public = service.settings.public_label_studio_url
    link = service.gateway.invitation()
    assert link.startswith(f"{public}/user/signup/")
    run = service.wait(service.start_run(pipeline, epochs=1), State.labelling, epoch=0)
    assert run.project_url == f"{public}/projects/{run.project_id}"
    ada = Member.sign_up(public, link.removeprefix(public), "ada@example.com", PASSWORD)
    control = verdict_control(template())
    for _ in VERDICTS:
        task = ada.next_task(run.project_id or 0)
        assert task is not None
        where = address_in_a_page(public, task["data"]["image"])
        ours = where.startswith(f"{service.settings.pages_base_url}/images/")
        answer = addresses.get(where) if ours else ada.http.get(where)
        assert answer.content.startswith(b"\x89PNG"), where
        if seen is not None:
            seen(run, where)
            seen = None
        result = [control.result(VERDICTS[task["data"]["index"]])]
        ada.annotate(task["id"], result, lead_time=1.0)
    ada.close()
    run = service.wait(run, State.finished, epoch=1)
    assert [image.verdict for image in service.store.images(run.id, 0)] == VERDICTS
    return run


def test_below_a_path(start, stack: ExitStack, tmp_path: Path, pipeline: Path):
    port = free_port()
    url = f"http://127.0.0.1:{port}{PATH}"
    found = start(LABEL_STUDIO_HOST=url)
    block = plain(f"127.0.0.1:{port}", port_of(found.url), path=f"{PATH}/")
    stack.enter_context(nginx(tmp_path / "nginx", block, {port}))
    with Place(found, url).service() as service:
        assert url in looked_at(service)["annotators"].detail
        go_round(service, pipeline)


def test_tls_of_a_private_authority_with_a_personal_token(
    start, stack: ExitStack, tmp_path: Path, pipeline: Path, monkeypatch: pytest.MonkeyPatch
):
    found, https, _ = behind_the_page(start, stack, tmp_path, monkeypatch, name="127.0.0.1")
    token = found.pat()
    only = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
    found.login().post("/api/jwt/settings", json=only).raise_for_status()
    place = Place(found, f"https://127.0.0.1:{https}{PATH}", backend={"api_key": token})
    with place.service() as service:
        assert "personal access token" in looked_at(service)["token"].detail
        go_round(service, pipeline)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        addresses.get(place.inside)


@pytest.mark.browser
def test_other_addresses_inside_than_outside(
    start, stack: ExitStack, tmp_path: Path, pipeline: Path, monkeypatch: pytest.MonkeyPatch
):
    """And images from the backend, which a page of https shows only by https."""
    found, https, backend = behind_the_page(start, stack, tmp_path, monkeypatch, name="127.0.0.1")
    outside = f"https://127.0.0.1:{https}"
    settings = {"port": backend, "public_url": outside, "image_store": "signed-urls"}
    with Place(found, found.url, f"{outside}{PATH}", settings).service() as service:
        assert f"{outside}/images/" in looked_at(service)["annotators"].detail

        def in_a_browser(run: Run, where: str) -> None:
            assert where.startswith(f"{outside}/images/{run.id}/")
            with browser.opened(ignore_https_errors=True) as page:
                browser.log_in(page, f"{outside}{PATH}", "ada@example.com", PASSWORD)
                browser.label_all(page, run.project_url or "")
                image = page.locator(".hero .lsf-image img")
                browser.expect(image).to_be_visible()
                assert image.evaluate("image => image.naturalWidth") > 0

        go_round(service, pipeline, in_a_browser)


def test_ipv6(start, stack: ExitStack, tmp_path: Path, pipeline: Path):
    port = free_port(host="::1")
    found = start()
    block = plain(f"[::1]:{port}", port_of(found.url))
    stack.enter_context(nginx(tmp_path / "nginx", block, {port}))
    with Place(found, f"http://[::1]:{port}").service() as service:
        looked_at(service)
        go_round(service, pipeline)


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_on_the_way(
    kind: Kind,
    start,
    stack: ExitStack,
    tmp_path: Path,
    pipeline: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Only the proxy knows where the host is."""
    found, https, backend = behind_the_page(start, stack, tmp_path, monkeypatch)
    url, asked = stack.enter_context(proxy(kind, {NAME: https}))
    monkeypatch.setenv("HTTPS_PROXY" if kind == "http" else "ALL_PROXY", url)
    place = Place(found, f"https://{NAME}{PATH}", backend={"port": backend})
    with place.service() as service:
        looked_at(service)
        go_round(service, pipeline)
    assert set(asked) == {NAME}


def test_legacy_tokens_are_switched_off_in_the_middle_of_a_run(
    start, stack: ExitStack, tmp_path: Path, pipeline: Path
):
    port = free_port()
    found = start()
    block = plain(f"127.0.0.1:{port}", port_of(found.url))
    stack.enter_context(nginx(tmp_path / "nginx", block, {port}))
    url = f"http://127.0.0.1:{port}"
    with Place(found, url, backend={}).service() as service:
        run = service.wait(service.start_run(pipeline, epochs=1), State.labelling, epoch=0)
        owner = Member.log_in(url, found.email, found.password)
        only = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
        owner.http.post("/api/jwt/settings", json=only).raise_for_status()
        control = verdict_control(template())
        for image in service.store.images(run.id, 0):
            owner.annotate(image.task_id or 0, [control.result(VERDICTS[image.index])], 1.0)
        owner.close()
        said = service.eventually(lambda: service.store.run(run.id).error)
        assert "personal access token" in said and "LABEL_STUDIO_API_KEY" in said
        assert service.store.run(run.id).state is State.labelling
    with Place(found, url, backend={"api_key": found.pat()}).service() as service:
        service.wait(run, State.finished, epoch=1)
        assert [image.verdict for image in service.store.images(run.id, 0)] == VERDICTS
