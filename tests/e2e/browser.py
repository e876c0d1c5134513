"""A person at a browser: logs in, labels by keys and clicks."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
PATIENCE_MS = 30_000
"""For whatever has to appear on a page: the machine may be busy."""


@contextmanager
def opened(width: int = 1280, height: int = 800, **context: Any) -> Iterator[Page]:
    """A page of a new Chromium; `context` is Playwright's options."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height}, **context)
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield page
        browser.close()


def log_in(page: Page, url: str, email: str, password: str) -> None:
    page.goto(f"{url}/user/login")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda address: "login" not in address)


def grave(page: Page, within: str = "html") -> list[list[str]]:
    """What axe-core finds there that is critical or serious: impact, rule and elements of each.

    By the browser's own protocol, since a page's policy may let no script in.
    """
    package = pytest.importorskip("axe_playwright_python")
    axe = files(package).joinpath("axe.min.js").read_text(encoding="utf-8")
    look = f"""{axe};axe.run({json.dumps(within)}).then((found) => JSON.stringify(
      found.violations.map(({{id, impact, nodes}}) =>
        [impact, id, nodes.map((node) => node.html)])))"""
    session = page.context.new_cdp_session(page)
    answer = session.send("Runtime.evaluate", {"expression": look, "awaitPromise": True})
    found = json.loads(answer["result"]["value"])
    return [each for each in found if each[0] in ("critical", "serious")]


def label_all(page: Page, project_url: str) -> None:
    """Opens the first of the tasks that this person has not labelled."""
    page.goto(f"{project_url}/data?labeling=1")


def press(page: Page, key: str) -> None:
    """Image layout: the choice's key, then Space, once the next image stands on the page."""
    expect(page.locator(".hero .lsf-image img")).to_be_visible()
    expect(page.locator(".hero input:checked")).to_have_count(0)
    page.keyboard.press(key)
    expect(page.locator(".hero input:checked")).to_have_count(1)
    with submitted(page):
        page.keyboard.press("Space")
    page.wait_for_timeout(300)


def click_good(page: Page, *places: int) -> None:
    """Gallery: the images at these places of the page."""
    for place in places:
        page.locator(".hero-gallery .good label").nth(place).click()


def click_best(page: Page, place: int) -> None:
    """Gallery: the star of the image at this place; the last one is "none is good"."""
    page.locator(".hero-gallery .best label").nth(place).click()


def submit(page: Page) -> None:
    """The Submit button; waits until Label Studio has taken the annotation."""
    with submitted(page):
        page.get_by_role("button", name=re.compile("^submit", re.IGNORECASE)).first.click()


def submitted(page: Page) -> Any:
    """Until Label Studio has taken an annotation."""
    return page.expect_response(
        lambda answer: (
            "/annotations" in answer.url and answer.request.method == "POST" and answer.ok
        )
    )
