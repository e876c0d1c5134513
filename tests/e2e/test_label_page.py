"""The page to label on: a person labels to the end of a batch, and the next one comes by itself."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Page, Route, expect

from backend.dashboard import access
from backend.run.labelling import Labelling, Layout
from backend.run.records import Run
from backend.run.states import State
from tests.e2e import browser
from tests.e2e.service import Service
from tests.hero_engine.tiny import save_pipeline

pytestmark = [pytest.mark.browser, pytest.mark.label_studio, pytest.mark.slow]

PACE_MS = 500
BLINK_SECONDS = 1.0
"""Longer than that nobody reads it; 0 on a machine that does nothing else."""
ENDED = "No More Tasks"
"""What Label Studio says between two batches, as if all were over."""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def service(label_studio, request: pytest.FixtureRequest) -> Iterator[Service]:
    service = Service(label_studio.root / request.node.name, label_studio).start()
    yield service
    service.stop()


@pytest.fixture
def page() -> Iterator[Page]:
    with browser.opened(1440, 900) as page:
        yield page


class Watch:
    """Looks at the page again and again: what it said that it should not have."""

    def __init__(self, page: Page) -> None:
        self.page, self.wrong, self.titles = page, [], []
        self._since = math.inf
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message) -> None:
        if message.type == "error" and "/runs" in message.location.get("url", ""):
            self.wrong.append(message.text)

    def look(self) -> None:
        title = self.page.title()
        if title not in self.titles[-1:]:
            self.titles.append(title)
        stage = self.page.locator("#stage:not([inert])")
        if stage.is_visible() and in_frame(self.page).get_by_text(ENDED).is_visible():
            self._since = min(self._since, time.monotonic())
            if time.monotonic() - self._since > BLINK_SECONDS:
                self.wrong.append(f"{ENDED} beside {title!r}")
        else:
            self._since = math.inf


def in_frame(page: Page) -> FrameLocator:
    return page.frame_locator("#stage")


def come_in(page: Page, service: Service, run: Run) -> None:
    """By the link that `hero start` prints; the login of Label Studio is asked for in the page."""
    page.goto(access.link(service.settings, run.id, to_label=True))
    in_frame(page).locator("input[name=email]").fill(service.label_studio.email)
    in_frame(page).locator("input[name=password]").click()
    page.wait_for_timeout(2500)  # the page has asked the server meanwhile, and takes no focus
    page.keyboard.type(service.label_studio.password)
    page.keyboard.press("Enter")


def press(page: Page, key: str) -> None:
    expect(in_frame(page).locator(".hero .lsf-image img")).to_be_visible()
    expect(in_frame(page).locator(".hero input:checked")).to_have_count(0)
    page.wait_for_timeout(PACE_MS)
    page.keyboard.press(key)
    expect(in_frame(page).locator(".hero input:checked")).to_have_count(1)
    with page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
    ):
        page.keyboard.press("Space")


def watch_until(watch: Watch, condition, seconds: float = 120) -> float:
    began = time.monotonic()
    while not condition():
        watch.look()
        assert time.monotonic() - began < seconds, watch.titles
        watch.page.wait_for_timeout(20)
    return time.monotonic() - began


def test_from_batch_to_batch_without_a_click(service: Service, pipeline: Path, page: Page):
    run = service.wait(service.start_run(pipeline), State.labelling, epoch=0)
    come_in(page, service, run)
    watch = Watch(page)
    image = in_frame(page).locator(".hero .lsf-image img")
    expect(page.locator("#label .line")).to_have_text("epoch 1 of 2, image 1 of 4, best: not yet")
    expect(page).to_have_title("4 to label · one rose")
    for key in "gbtb":
        press(page, key)
    watch_until(watch, lambda: "epoch 2 of 2" in page.locator("#label").inner_text())
    watch_until(watch, lambda: image.is_visible())
    expect(page.locator("#label .line")).to_have_text("epoch 2 of 2, image 1 of 4, best: not yet")
    expect(in_frame(page).locator(".reference img")).to_be_visible()
    said = " ".join(watch.titles)
    assert "learning" in said and "nearly there" in said
    assert "finished" not in said

    [project] = [service.sdk.projects.get(run.project_id)]
    address = f"{service.settings.backend_url}/runs/{run.id}/label"
    assert project.description.startswith(f"HERO run {run.id}. Epoch 2 of 2: ")
    assert address in project.description

    for key in "gbtb":
        press(page, key)
    watch_until(watch, lambda: page.title().startswith("finished"))
    expect(page.get_by_role("heading", name="The first batch")).to_be_visible()
    expect(page.get_by_role("heading", name="Before and after")).to_be_visible()
    assert watch.wrong == []


def test_a_page_of_another_site_opens_label_studio_in_a_tab(
    service: Service, pipeline: Path, page: Page
):
    run = service.wait(service.start_run(pipeline), State.labelling, epoch=0)
    elsewhere = service.settings.model_copy(
        update={"public_url": f"http://localhost:{service.settings.port}"}
    )
    page.goto(access.link(elsewhere, run.id, to_label=True))
    expect(page.get_by_text("opens in a tab of its own")).to_be_visible()
    expect(page.locator("#stage")).to_be_hidden()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Label in Label Studio").click()
    tab = opened.value
    tab.fill("input[name=email]", service.label_studio.email)
    tab.fill("input[name=password]", service.label_studio.password)
    tab.keyboard.press("Enter")
    expect(tab.locator(".hero .lsf-image img")).to_be_visible()


def test_an_image_that_somebody_else_has_open_comes_when_they_leave_it(
    service: Service, pipeline: Path, page: Page
):
    run = service.wait(service.start_run(pipeline), State.labelling, epoch=0)
    other = service.label_studio.invite("other@example.com", "thorns and roses")
    held = other.get(f"/api/projects/{run.project_id}/next").json()["id"]
    page.route("**/label.js", _asks_soon)
    come_in(page, service, run)
    watch, frame = Watch(page), in_frame(page)
    for key in "gbt":
        press(page, key)
    nothing = page.get_by_text("Label Studio has no image for you now")
    watch_until(watch, nothing.is_visible)
    expect(page).to_have_title("1 open elsewhere · one rose")
    expect(page.locator("#label")).to_contain_text("1 of 4 images still needs a label.")
    with page.expect_response(lambda answer: "id=next_task" in answer.url):
        page.get_by_role("button", name="Look again in Label Studio").click()
    expect(nothing).to_be_visible()
    page.wait_for_timeout(6000)  # asked again meanwhile, and none is there
    watch.look()
    expect(nothing).to_be_visible()

    skipped = {"result": [], "was_cancelled": True}
    assert other.post(f"/api/tasks/{held}/annotations/", json=skipped).is_success
    watch_until(watch, lambda: frame.locator(".hero .lsf-image img").is_visible())
    press(page, "b")
    watch_until(watch, lambda: "epoch 2 of 2" in page.locator("#label").inner_text())
    watch_until(watch, lambda: frame.locator(".hero .lsf-image img").is_visible())
    assert watch.wrong == []


def _asks_soon(route: Route) -> None:
    script = route.fetch()
    later = "const LATER = 60_000;"
    assert later in script.text()
    route.fulfill(response=script, body=script.text().replace(later, "const LATER = 2_000;"))


@pytest.mark.parametrize("layout", ["image", "gallery"])
def test_a_forgotten_best_is_asked_for(
    service: Service, pipeline: Path, page: Page, layout: Layout
):
    started = service.start_run(pipeline, labelling=Labelling(layout=layout))
    run = service.wait(started, State.labelling, epoch=0)
    come_in(page, service, run)
    watch, frame = Watch(page), in_frame(page)
    if layout == "image":
        for key in "gbgb":
            press(page, key)
        candidates = frame.locator(".hero .question img")
    else:
        expect(frame.locator(".hero-gallery .thumb")).to_have_count(4)
        for place in (0, 2):
            frame.locator(".hero-gallery .good label").nth(place).click()
        frame.locator(".hero-gallery .best label").last.click()  # "none is good", though some are
        frame.get_by_role("button", name="Submit").first.click()
        candidates = frame.locator(".hero-gallery .thumb.candidate")
    asked = "one question left: which of 2 images is the best?"
    watch_until(watch, lambda: asked in page.locator("#label").inner_text())
    watch_until(watch, lambda: candidates.count() == 2)
    expect(page).to_have_title("which is the best? · one rose")
    expect(frame.get_by_text("Which of these good ones is the best?")).to_be_visible()
    expect(frame.locator("input:checked")).to_have_count(0)
    if layout == "image":
        page.keyboard.press("2")
    else:
        frame.locator(".hero-gallery .best label").nth(1).click()
    expect(frame.locator("input:checked")).to_have_count(1)
    page.keyboard.press("Space")
    watch_until(watch, lambda: "epoch 2 of 2" in page.locator("#label").inner_text())
    row = service.store.epochs(run.id)[0]
    assert row.best_index == 2
    assert row.best_reason is not None and "asked for the best" in row.best_reason
    verdicts = [image.verdict for image in service.store.images(run.id, 0)]
    assert verdicts == ["good", "bad", "best", "bad"]
    assert watch.wrong == []
