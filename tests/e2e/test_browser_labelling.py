"""A person's keys and clicks alone carry an epoch from its first image to the next batch."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from playwright.sync_api import Page, expect

from backend import engine
from backend.labels.progress import count_labels
from backend.local import processes
from backend.local.stack import Stack
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.starting.start_run import start_run
from backend.store import Store
from tests.e2e import browser
from tests.hero_engine.tiny import save_pipeline

pytestmark = [pytest.mark.browser, pytest.mark.label_studio, pytest.mark.slow]

KEYS = "gbgbtbgb"
VERDICTS = {"g": "good", "b": "bad", "t": "best"}


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser.opened() as page:
        yield page


@pytest.fixture(scope="module")
def service(label_studio, page: Page, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """The web server and the worker beside a Label Studio, and a member who is logged in."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
        monkeypatch.setenv("HERO_LOCAL_FILES_ROOT", str(label_studio.root))
        monkeypatch.setenv("HERO_PORT", str(processes.free_port()))
        model = save_pipeline(tmp_path_factory.mktemp("models") / "model")
        with Stack(label_studio.root / "browser-test") as stack:
            store = Store.open(stack.settings)
            label_studio.invite("reader@example.com", "press-a-key-1")
            browser.log_in(page, label_studio.url, "reader@example.com", "press-a-key-1")
            yield SimpleNamespace(settings=stack.settings, store=store, model=model)
            store.close()


def start(service: SimpleNamespace, **plan: object) -> Run:
    config = engine.make_config(
        model=str(service.model),
        prompt="a rose",
        images_per_epoch=len(KEYS),
        epochs=2,
        num_inference_steps=4,
        trained_steps=2,
    )
    labelling = Labelling.model_validate({"criteria": "It is red.", **plan})
    config = config.flat()
    run = start_run(service.settings, service.store, config, labelling=labelling)
    _eventually(lambda: service.store.run(run.id).state == "labelling")
    return run


def next_batch_comes(service: SimpleNamespace, run: Run) -> None:
    store = service.store
    _eventually(lambda: store.run(run.id).epoch == 1 and store.run(run.id).state == "labelling")
    verdicts = [image.verdict for image in store.images(run.id, 0)]
    assert verdicts == [VERDICTS[key] for key in KEYS]
    assert {row.annotator for row in store.annotations(run.id, 0)} == {"reader@example.com"}


def test_an_epoch_is_labelled_by_keyboard_and_the_next_one_comes(
    service: SimpleNamespace, page: Page
):
    run = start(service)
    browser.label_all(page, run.project_url)
    expect(page.get_by_role("heading", name="a rose")).to_be_visible()
    expect(page.get_by_text("It is red.")).to_be_visible()
    expect(page.locator(".reference img")).to_have_count(0)
    expect(page.locator(".lsf-sidepanels__wrapper").first).not_to_be_visible()
    for key in KEYS:
        browser.press(page, key)
    next_batch_comes(service, run)

    browser.label_all(page, run.project_url)
    expect(page.locator(".reference img")).to_be_visible()
    browser.press(page, "g")
    _eventually(lambda: count_labels(service.store, run.id, 1).labelled == 1)


def test_an_epoch_is_labelled_on_one_page_and_the_next_one_comes(
    service: SimpleNamespace, page: Page
):
    run = start(service, layout="gallery")
    browser.label_all(page, run.project_url)
    expect(page.get_by_text("a rose")).to_be_visible()
    expect(page.get_by_text("It is red.")).to_be_visible()
    browser.click_good(page, *(place for place, key in enumerate(KEYS) if key == "g"))
    browser.click_best(page, KEYS.index("t"))
    browser.submit(page)
    next_batch_comes(service, run)

    browser.label_all(page, run.project_url)
    expect(page.locator(".reference img")).to_be_visible()
    expect(page.locator(".hero-gallery input:checked")).to_have_count(0)
    expect(page.locator(".hero-gallery .thumb")).to_have_count(len(KEYS))


def _eventually(condition, seconds: float = 90) -> None:
    assert processes.wait_until(condition, seconds=seconds, alive=lambda: True)
