"""What keeps people from using a run page, as axe-core finds it: nothing critical or serious."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from backend.dashboard.access import COOKIE, Role, new_cookie
from backend.exports.jobs import made_in
from backend.run.states import Event
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from tests.backend.made_runs import MadeRun
from tests.e2e.browser import grave
from tests.e2e.test_run_pages import CHROMIUM, served

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = ((1440, 900), (390, 844))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[tuple[MadeRun, MadeRun]]:
    """A finished run with all that its pages can show, and one that is labelled."""
    settings = ensure_secrets(Settings(home=tmp_path, label_studio_url="http://127.0.0.1:1"))
    store = Store.open(settings)
    ballots = ["tg", "gb", *["bb"] * 7, *["gg"] * 7]
    ended = MadeRun(settings, store, images=16, epochs=2, annotators_per_image=2, criteria="Blue.")
    for _ in range(2):
        ended.go_round(*ballots)
    ended.change_late(1, "x")
    ended.sample_rows(3)
    _draw_on_demand(ended)
    open_one = MadeRun(settings, store, images=16, annotators_per_image=2, project=4)
    open_one.go_round(*ballots)
    open_one.draw(predictions=[index / 16 for index in range(16)])
    open_one.vote("gg", "b-", "t-")
    failed = MadeRun(settings, store, project=5)
    store.transition(failed.id, Event.fail, error="The disk is full; run `df`.")
    yield ended, open_one
    store.close()


def _draw_on_demand(made: MadeRun) -> None:
    options = {"prompt": None, "n": 2, "seed": 0, "epoch": 2}
    made.store.ask(made.id, "images", options)
    job = made.store.take_job("worker", 60)
    assert job is not None
    for part in ("before", "after"):
        folder = made_in(made.settings, job) / part
        folder.mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", (32, 32), (90, 60 * index, 30)).save(folder / f"{index:04d}.png")
    made.store.end_job(job)
    made.store.ask(made.id, "images", {**options, "seed": 1})
    job = made.store.take_job("worker", 60)
    assert job is not None
    made.store.job_progress(job, 3, 8, 60)
    made.store.ask(made.id, "export", {"what": "lora", "format": "safetensors", "epoch": 2})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_grave(browser: Browser, runs, scheme):
    ended, open_one = runs
    cookie = new_cookie(ended.settings, Role.owner)
    paths = [
        "/runs",
        "/runs?q=nothing",
        f"/runs/{ended.id}",
        f"/runs/{open_one.id}",
        f"/runs/{ended.id}/epochs",
        f"/runs/{ended.id}/epochs/1?show=split",
        f"/runs/{open_one.id}/epochs/2",
        f"/runs/compare?runs={ended.id},{open_one.id}",
        "/runs/new",
        f"/runs/{ended.id}/results",
        f"/runs/{ended.id}/label",
        f"/runs/{open_one.id}/label",
        f"/runs/{open_one.id}/label?me=ann@example.com&done=4-1",
        "/runs/nothing",
    ]
    found = []
    with served(ended) as address:
        for width, height in SIZES:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page = context.new_page()
            page.goto(f"{address}/runs")
            found += [(width, "login", *each) for each in grave(page)]
            context.add_cookies([{"name": COOKIE, "value": cookie, "url": address}])
            for path in paths:
                page.goto(address + path)
                found += [(width, path, *each) for each in grave(page)]
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            page.goto(f"{address}/runs/{open_one.id}")
            page.get_by_role("button", name="Stop").click()
            found += [(width, "stop", *each) for each in grave(page)]
            page.get_by_role("button", name="Cancel").click()
            page.goto(f"{address}/runs/{ended.id}/epochs/1")
            page.locator("a.frame").first.click()
            found += [(width, "enlarged", *each) for each in grave(page)]
            context.close()
    assert found == []
