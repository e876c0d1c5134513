"""The run pages in a real browser, while their run goes on; no Label Studio is needed."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import make_server

from backend.dashboard import access
from backend.dashboard.report import report
from backend.run.states import Event
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.web.app import create_app
from tests.backend.made_runs import MadeRun

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
SIZES = ((1280, 800), (390, 844))
CUT = """[...document.querySelectorAll("table")]
    .filter((table) => table.scrollWidth > table.parentElement.clientWidth)
    .map((table) => table.textContent)"""
"""Tables of which a part is out of sight."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    yield page
    page.close()


@pytest.fixture
def made(tmp_path) -> Iterator[MadeRun]:
    settings = ensure_secrets(Settings(home=tmp_path, pages_password="our roses"))
    store = Store.open(settings)
    made = MadeRun(settings, store, images=16, epochs=3, annotators_per_image=2)
    made.go_round("tg", "gb", *["bb"] * 7, *["gg"] * 7)
    made.change_late(1, "x")
    made.sample_rows(2)
    made.draw(predictions=[index / 16 for index in range(16)])
    yield made
    store.close()


@contextmanager
def served(made: MadeRun) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(made.settings, made.store), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()


def test_a_run_is_followed_on_its_pages(page: Page, made: MadeRun):
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    with served(made) as address:
        go_in(page, made, address)
        for path in ("/", f"/runs/{made.id}", f"/runs/{made.id}/epochs/1", "/runs/latest"):
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                page.goto(address + path)
                see_everything(page)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert page.evaluate(CUT) == []

        # A label arrives: the page says so where one reads, and leaves the reader alone.
        page.goto(f"{address}/runs/{made.id}")
        expect(page.locator("#now")).to_contain_text("0 of 16")
        page.locator("#numbers-success summary").click()
        page.evaluate("window.scrollTo(0, 300); window.kept = document.querySelector('#best img')")
        made.vote("gg", "bb")
        expect(page.locator("#now")).to_contain_text("2 of 16")
        assert page.evaluate("window.scrollY") == 300
        assert page.evaluate("window.kept === document.querySelector('#best img')")
        expect(page.locator("#numbers-success table")).to_be_visible()

        page.goto(f"{address}/runs/{made.id}/epochs/2")
        expect(page.locator("#tile-2-1 .verdict")).to_have_text("bad")
        page.locator("#tile-2-2 img").evaluate("image => { window.kept = image; }")
        made.vote("--", "--", "tg")
        expect(page.locator("#tile-2-2 .verdict")).to_have_text("best")
        assert page.evaluate("window.kept === document.querySelector('#tile-2-2 img')")

        # The run ends: the page asks seldom, as it may be extended.
        made.store.transition(made.id, Event.stop)
        expect(page.locator("body")).to_have_attribute("data-live", "10")
        asked.clear()
        page.wait_for_timeout(3000)
        assert asked == []
        assert said == []


def go_in(page: Page, made: MadeRun, address: str) -> None:
    """By a link such as `hero up` prints."""
    link = urlsplit(access.link(made.settings))
    page.goto(f"{address}{link.path}?{link.query}")
    expect(page).to_have_url(f"{address}/runs")


def test_whose_part_is_done_is_told_whom_the_batch_waits_for(page: Page, made: MadeRun):
    made.settings = made.settings.model_copy(update={"label_studio_url": "http://127.0.0.1:1"})
    made.vote("gg", *["g-"] * 14, "t-")
    done = page.get_by_text("Your part of epoch 2 of 3 is done.")
    with served(made) as address:
        go_in(page, made, address)
        page.goto(f"{address}/runs/{made.id}/label")
        expect(page.locator("#stage")).to_be_visible()
        page.get_by_label("I am").select_option("ann@example.com")
        expect(done).to_be_visible()
        expect(page.locator("#label")).to_contain_text("Waiting for ben@example.com")
        expect(page.locator("#stage")).to_be_hidden()
        expect(page).to_have_title(re.compile("done, others still label"))

        page.evaluate("localStorage.clear()")
        page.goto(f"{address}/runs/{made.id}/label")
        page.get_by_role("button", name="Label Studio has nothing left for me").click()
        expect(done).to_be_visible()
        page.get_by_role("button", name="Look again in Label Studio").click()
        expect(page.locator("#stage")).to_be_visible()


def test_a_page_asks_who_one_is_and_takes_the_password(page: Page, made: MadeRun):
    with served(made) as address:
        page.goto(f"{address}/runs/{made.id}")
        expect(page.locator("body")).not_to_contain_text(made.run.prompt)
        page.get_by_label("password of the run pages").fill("our thorns")
        page.get_by_role("button", name="Go in").click()
        expect(page.get_by_role("alert")).to_contain_text("not the password")
        page.get_by_label("password of the run pages").fill("our roses")
        page.keyboard.press("Enter")
        expect(page.locator("body")).to_contain_text(made.run.prompt)
        assert page.url == f"{address}/runs/{made.id}"


def test_a_foreign_page_cannot_close_an_epoch(page: Page, made: MadeRun):
    """Somebody who is in, and whose browser even knows the password, opens another site."""
    with served(made) as address:
        go_in(page, made, address)
        made.store.take_due(30, hint_seconds=0)
        password = made.settings.basic_auth_pass.get_secret_value()
        known = address.replace("http://", f"http://hero:{password}@")
        page.goto(f"{known}/versions")
        body = json.dumps({"action": "START_TRAINING", "project": {"id": made.run.project_id}})
        page.route("http://evil.example/", lambda route: route.fulfill(
            content_type="text/html",
            body=f"<form method=post enctype=text/plain action={address}/webhook>"
            f"<input name=\'{body[:-1]}, \"x\": \"\' value=\'\"}}\'></form>"
            "<script>document.forms[0].submit()</script>",
        ))  # fmt: skip
        with page.expect_response(f"{address}/webhook") as answer:
            page.goto("http://evil.example/")
        assert answer.value.status in (401, 403, 415)
        assert made.store.take_due(30, hint_seconds=0) == []


def test_the_report_needs_no_server(page: Page, made: MadeRun, tmp_path):
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    file = tmp_path / "report.html"
    file.write_text(report(made.settings, made.store, made.run), encoding="utf-8")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.goto(file.as_uri())
        see_everything(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT) == []
    assert set(asked) <= {"file", "data"}
    assert said == []


def see_everything(page: Page) -> None:
    """Scroll through the page; every picture that comes to sight is there."""
    page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; })")
    page.evaluate("Promise.allSettled([...document.images].map(image => image.decode()))")
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
