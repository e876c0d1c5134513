"""A run that is started, steered, drawn with and downloaded from in a browser alone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from safetensors import safe_open

from backend.dashboard import access
from backend.run.states import State
from tests.e2e import browser
from tests.e2e.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.label_studio, pytest.mark.slow]

PROMPT = "photo of one blue rose in a vase"
LONG_MS = 240_000
"""For a step of the engine on a busy machine."""


@pytest.fixture
def service(label_studio, request, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    service = Service(label_studio.root / request.node.name, label_studio, sample_row=0)
    settings = service.settings
    for name, value in {  # what the process that starts a run finds in its environment
        "LABEL_STUDIO_URL": settings.label_studio_url,
        "LABEL_STUDIO_API_KEY": settings.label_studio_api_key.get_secret_value(),
        "HERO_LOCAL_FILES_ROOT": str(settings.local_files_root),
        "HERO_PORT": str(settings.port),
    }.items():
        monkeypatch.setenv(name, value)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def page() -> Iterator[Page]:
    with browser.opened(1280, 900) as page:
        yield page


def act(page: Page, name: str, said: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#said")).to_contain_text(said, timeout=LONG_MS)


def test_from_the_start_to_the_lora(service: Service, page: Page):
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    page.goto(access.link(service.settings))
    page.get_by_role("link", name="Start a run").click()
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_label("Criteria").fill("One blue rose.")
    page.get_by_label("Images an epoch").fill("1")  # which the browser itself refuses
    page.get_by_role("button", name="Start").click()
    expect(page).to_have_url(f"{service.settings.backend_url}/runs/new")
    page.get_by_label("Images an epoch").fill("4")
    page.get_by_label("Epochs").fill("1")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#now")).to_contain_text("Epoch 1 of 1", timeout=LONG_MS)
    [run] = service.store.runs()
    assert (run.prompt, run.labelling.criteria) == (PROMPT, "One blue rose.")
    assert run.config["method"] == "hero+"

    service.wait(run, State.labelling, epoch=0)
    act(page, "Pause", "is paused now")
    assert service.store.run(run.id).state is State.paused
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_hidden()
    act(page, "Resume", "is publishing now")
    run = service.wait(run, State.labelling, epoch=0)
    act(page, "Advance", "nothing to compare")  # nobody has labelled anything
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    assert service.store.run(run.id).state is State.labelling

    service.label(run, ["good", "bad", "best", "bad"])
    run = service.wait(run, State.finished, epoch=1)
    expect(page.get_by_role("button", name="Extend", exact=True)).to_be_visible(timeout=LONG_MS)
    page.get_by_role("spinbutton", name="by epochs").fill("2")
    act(page, "Extend", "2 more epochs of 4 images, 3 in all")
    expect(page.locator("#now")).to_contain_text("Epoch 2 of 3")

    page.get_by_role("link", name="Draw and download").click()
    page.get_by_role("spinbutton", name="Images").fill("2")
    act(page, "Draw", "A worker draws them")
    slider = page.get_by_label("Share of each image")
    expect(slider).to_be_visible(timeout=LONG_MS)
    slider.fill("100")
    over = page.locator(".pairs .over").first
    assert over.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 0px 0px 0%)"
    page.get_by_role("button", name="Make the lora as safetensors").click()
    lora = page.get_by_role("link", name="safetensors after epoch 1")
    expect(lora).to_be_visible(timeout=LONG_MS)
    with page.expect_download() as download:
        lora.click()
    assert download.value.suggested_filename == f"{run.id}-lora.safetensors"
    with safe_open(str(download.value.path()), "pt") as tensors:
        assert len(list(tensors.keys())) > 0
    with page.expect_download() as download:
        page.get_by_role("link", name="annotations as csv").click()
    assert len(download.value.path().read_text().splitlines()) == 5

    page.get_by_role("link", name="Image 1, before").click()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("Image 2, after epoch 1 (2 of 2)")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.large")).to_be_hidden()

    page.goto(f"{service.settings.backend_url}/runs/{run.id}")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("#said")).to_contain_text("is stopped now")
    # A refusal (the early Advance) is a status that the browser writes down; nothing else is.
    assert [text for text in said if "409" not in text] == []


def test_several_prompts_are_started(service: Service, page: Page):
    page.goto(access.link(service.settings))
    page.get_by_role("link", name="Start a run").click()
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_label("Criteria").fill("It is sharp.")
    page.get_by_text("Several prompts").click()
    page.get_by_label("More prompts").fill("# of the series\n1 hand | five fingers\n")
    page.get_by_label("held out").fill("a rose on a table")
    page.get_by_label("Images an epoch").fill("6")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("alert")).to_contain_text("each needs 4", timeout=LONG_MS)
    assert service.store.runs() == []
    page.get_by_label("Images an epoch").fill("8")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#now")).to_contain_text("Epoch 1 of", timeout=LONG_MS)
    [run] = service.store.runs()
    assert (run.prompts, run.held_out) == ((PROMPT, "1 hand"), ("a rose on a table",))
    criteria = [run.labelling.criteria_of(each) for each in run.prompts]
    assert criteria == ["It is sharp.", "five fingers"]
