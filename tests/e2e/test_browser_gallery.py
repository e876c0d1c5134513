"""The gallery page at its full size, with ready-made images: what a person sees and submits."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image as Picture
from playwright.sync_api import Page, expect

from backend.label_studio import Gateway
from backend.run.labelling import Labelling, Layout
from backend.run.records import Image, Run
from backend.settings import Settings
from backend.store import Store
from backend.tasks.gallery import read_page
from backend.tasks.images import gallery_key, image_key, image_path
from backend.tasks.publishing import tasks
from backend.tasks.suggestions import Agreement, Opening
from tests.e2e import browser
from tests.label_studio_data import version

pytestmark = [pytest.mark.browser, pytest.mark.label_studio, pytest.mark.slow]

IMAGES = 64
SCREENS = [(1366, 768), (1440, 900), (1920, 1080)]


@pytest.fixture(scope="module")
def settings(label_studio) -> Settings:
    return Settings(
        home=label_studio.root / "gallery-test",
        label_studio_url=label_studio.url,
        label_studio_api_key=label_studio.token,
        local_files_root=label_studio.root,
    )


@pytest.fixture(scope="module")
def page(label_studio) -> Iterator[Page]:
    with browser.opened(*SCREENS[0]) as page:
        browser.log_in(page, label_studio.url, label_studio.email, label_studio.password)
        yield page


@pytest.fixture(scope="module")
def run(settings: Settings) -> Run:
    """A run in its second epoch, on whose page 64 images stand."""
    return run_of(settings, IMAGES)


def run_of(
    settings: Settings, count: int, opening: Opening | None = None, layout: Layout = "gallery"
) -> Run:
    """A run in its second epoch, whose page waits for labels."""
    store = Store.open(settings)
    config = {"prompt": "one rose", "epochs": 2, "images_per_epoch": count}
    plan = Labelling(layout=layout, criteria="It is red.")
    run = replace(store.create_run(config, labelling=plan), epoch=1)
    store.close()
    images = []
    for index in range(count):
        path = image_path(run.id, 1, index)
        target = settings.images_dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        Picture.new("RGB", (16, 16), (index % 256, 80, 80)).save(target)
        likely = index / count
        images.append(Image(run.id, 1, index, path, None, True, None, None, None, None, likely))
    gateway = Gateway(settings)
    project = gateway.ensure_project(run.id, "one rose", "one rose", plan, pixelated=True)
    gateway.connect_images(project.id, run.id, layout)
    made = tasks(settings, run, images, [], {run.prompt: images[7]}, opening)
    gateway.publish(project.id, run.id, 1, made)
    return replace(run, project_id=project.id, project_url=project.url)


@pytest.mark.skipif(version() == "1.21.0", reason="Label Studio 1.21.0 shows all columns at first")
def test_the_data_manager_shows_no_raw_data(page: Page, run: Run):
    page.goto(f"{run.project_url}/data")
    expect(page.get_by_text("hero_image_id").first).to_be_visible()
    expect(page.get_by_text(gallery_key(run.id, 1))).to_have_count(1)
    for column in ("images", "marks", "criteria", "reference", "begun"):
        expect(page.get_by_text(column, exact=True)).to_have_count(0)


def test_a_person_sees_all_images_and_submits_what_they_think(
    page: Page, run: Run, settings: Settings
):
    browser.label_all(page, str(run.project_url))
    thumbs = page.locator(".hero-gallery .thumb")
    expect(thumbs).to_have_count(IMAGES)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.thumb')].every(i => i.complete && i.naturalWidth)"
    )
    assert thumbs.first.evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
    expect(page.locator(".hero-gallery .reference img")).to_be_visible()
    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(300)
        sizes = thumbs.evaluate_all("all => all.map(i => i.getBoundingClientRect().toJSON())")
        assert all(84 <= size["width"] <= 240 and size["right"] <= width for size in sizes)
        assert all(size["top"] > 0 and size["bottom"] < height - 50 for size in sizes)

    for key in "1qgbt":
        page.keyboard.press(key)
    expect(page.locator(".hero-gallery input:checked")).to_have_count(0)

    browser.click_good(page, 3, 10, 11)
    browser.click_good(page, 11)
    assert counted_good(page) == 2
    page.get_by_role("button", name="Submit").first.click()
    expect(page.get_by_text("Which image is the best?")).to_be_visible()
    page.keyboard.press("Escape")
    browser.click_best(page, 20)
    browser.submit(page)

    values = submitted_values(settings, run)
    assert {index: value for index, value in values.items() if value != "bad"} == {
        3: "good",
        10: "good",
        20: "best",
    }


def submitted_values(settings: Settings, run: Run) -> dict[int, str]:
    """What the one annotation of the run's page says of each image."""
    [labels] = Gateway(settings).labels(run.project_id or 0, run.id, 1)
    keys = {image_key(run.id, 1, index): index for index in labels.indexes}
    [annotation] = labels.annotations
    values, problem = read_page(annotation["result"], keys)
    assert problem is None
    return values


def counted_good(page: Page) -> int:
    """How many images the page itself counts as good."""
    return page.locator(".hero-gallery .good .lsf-choice").evaluate_all(
        "all => all.filter(i => getComputedStyle(i).counterIncrement.includes('good')).length"
    )


def test_all_are_good_but_those_that_are_clicked(page: Page, settings: Settings):
    run = run_of(settings, 16)
    page.set_viewport_size({"width": 1366, "height": 768})
    browser.label_all(page, str(run.project_url))
    expect(page.locator(".hero-gallery .thumb")).to_have_count(16)
    page.get_by_text("All are good, but those I click").click()
    expect(page.get_by_text("Click every bad image")).to_be_visible()
    assert counted_good(page) == 16
    browser.click_good(page, 2, 9, 4)
    page.keyboard.press("Control+z")
    expect(page.locator(".hero-gallery .good input:checked")).to_have_count(2)
    assert counted_good(page) == 14
    browser.click_best(page, 5)
    with browser.submitted(page):
        page.keyboard.press("Space")
    values = submitted_values(settings, run)
    assert {index: value for index, value in values.items() if value != "good"} == {
        2: "bad",
        9: "bad",
        5: "best",
    }


def test_shift_and_dragging_mark_ranges(page: Page, settings: Settings):
    run = run_of(settings, 24)
    page.set_viewport_size({"width": 1366, "height": 768})
    browser.label_all(page, str(run.project_url))
    expect(page.get_by_text("Shift or dragging marks several at once.")).to_be_visible()
    images = page.locator(".hero-gallery .good label")
    expect(images).to_have_count(24)

    def good() -> list[int]:
        page.wait_for_timeout(200)
        boxes = page.locator(".hero-gallery .good input")
        return boxes.evaluate_all("all => all.flatMap((one, i) => one.checked ? [i] : [])")

    def drag(*places: int) -> None:
        for n, place in enumerate(places):
            box = images.nth(place).bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
            if n == 0:
                page.mouse.down()
        page.mouse.up()

    images.nth(2).click()
    images.nth(6).click(modifiers=["Shift"])
    assert good() == [2, 3, 4, 5, 6]
    drag(15, 20, 10)  # too far, and back; across the rows
    assert good() == [2, 3, 4, 5, 6, *range(10, 16)]
    drag(12, 13)  # begun on a marked one, it takes back
    assert good() == [2, 3, 4, 5, 6, 10, 11, 14, 15]
    page.keyboard.press("Control+z")
    assert good() == [2, 3, 4, 5, 6, *range(10, 16)]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert good() == [2]
    drag(21, 22)
    page.mouse.move(5, 5, steps=3)  # nothing is held any more
    assert good() == [2, 21, 22]
    page.locator(".hero-gallery .good input").nth(19).focus()
    page.keyboard.press("Shift+Space")
    assert good() == [2, 19, 20, 21, 22]

    browser.click_best(page, 20)
    with browser.submitted(page):
        page.keyboard.press("Space")
    values = submitted_values(settings, run)
    assert [index for index, value in values.items() if value != "bad"] == [2, 19, 20, 21, 22]
    assert values[20] == "best"


def test_a_page_that_is_submitted_in_the_middle_of_a_drag_has_what_it_shows(
    page: Page, settings: Settings
):
    run = run_of(settings, 8)
    browser.label_all(page, str(run.project_url))
    images = page.locator(".hero-gallery .good label")
    expect(images).to_have_count(8)
    browser.click_best(page, 6)
    images.nth(2).hover()
    page.mouse.down()
    images.nth(4).hover()
    expect(page.locator(".hero-gallery .good input:checked")).to_have_count(3)
    with browser.submitted(page):
        page.keyboard.press("Space")
    page.mouse.up()
    values = submitted_values(settings, run)
    assert [index for index, value in values.items() if value != "bad"] == [2, 3, 4, 6]


def test_what_the_model_thinks_is_not_marked(page: Page, settings: Settings):
    run = run_of(settings, 8)
    [labels] = Gateway(settings).labels(run.project_id or 0, run.id, 1)
    page.goto(f"{run.project_url}/data?task={labels.task_id}")
    images = page.locator(".hero-gallery .good label")
    expect(images).to_have_count(8)
    page.wait_for_function("Htx.annotationStore.predictions.length")
    page.evaluate("Htx.annotationStore.selectPrediction(Htx.annotationStore.predictions[0].id)")
    marked = page.locator(".hero-gallery .good input:checked")
    expect(marked).to_have_count(4)
    images.nth(2).hover()
    page.mouse.down()
    images.nth(4).hover()
    page.mouse.up()
    page.wait_for_timeout(300)
    expect(marked).to_have_count(4)


def test_none_is_good_is_doubted_only_beside_good_images(page: Page, settings: Settings):
    run = run_of(settings, 8)
    browser.label_all(page, str(run.project_url))
    expect(page.locator(".hero-gallery .thumb")).to_have_count(8)
    browser.click_best(page, 8)
    none = page.locator(".hero-gallery .best label").nth(8)

    def doubted() -> bool:
        said = none.evaluate("e => getComputedStyle(e, '::after').content")
        return "but some are marked good" in said

    assert not doubted()
    page.get_by_text("All are good, but those I click").click()
    assert doubted()
    browser.click_good(page, *range(8))
    assert not doubted()
    browser.submit(page)
    assert set(submitted_values(settings, run).values()) == {"bad"}


def test_a_page_that_opens_with_suggestions(page: Page, settings: Settings):
    opening = Opening(frozenset({1, 2, 3, 9}), frozenset({6, 7}), Agreement(60, 64))
    run = run_of(settings, 16, opening)
    browser.label_all(page, str(run.project_url))
    expect(page.locator(".hero-gallery .good input:checked")).to_have_count(4)
    expect(page.locator(".hero-gallery .yours")).to_have_count(2)
    expect(page.get_by_text("Of 64 images it was right about 60.")).to_be_visible()
    expect(page.get_by_text("All are good, but those I click")).to_be_hidden()
    browser.click_good(page, 3, 6)  # one that is wrong, and one that was left to people
    browser.click_best(page, 1)
    with browser.submitted(page):
        page.keyboard.press("Space")
    values = submitted_values(settings, run)
    assert {index: value for index, value in values.items() if value != "bad"} == {
        1: "best",
        2: "good",
        6: "good",
        9: "good",
    }


def test_a_page_labelled_by_keys_alone(page: Page, settings: Settings):
    run = run_of(settings, 9)
    browser.label_all(page, str(run.project_url))
    expect(page.locator(".hero-gallery .thumb")).to_have_count(9)
    first = page.get_by_role("checkbox", name="image 1")
    first.focus()
    page.keyboard.press("Tab")
    second = page.locator(".hero-gallery .good label").nth(1)
    expect(second.locator("input")).to_be_focused()
    assert second.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    expect(second.locator(".large")).to_be_visible()
    page.keyboard.press("Space")
    expect(second.locator("input")).to_be_checked()
    page.get_by_role("radio", name="image 2 is the best").focus()
    page.keyboard.press("Space")
    expect(page.locator(".hero-gallery .best input:checked")).to_have_count(1)
    with browser.submitted(page):
        page.keyboard.press("Space")  # nothing has the focus any more
    assert submitted_values(settings, run)[1] == "best"


@pytest.mark.parametrize(("layout", "page_of"), [("gallery", ".hero-gallery"), ("image", ".hero")])
def test_a_phone_and_a_screen_reader(page: Page, settings: Settings, layout: Layout, page_of: str):
    run = run_of(settings, 12, layout=layout)
    page.set_viewport_size({"width": 390, "height": 844})
    browser.label_all(page, str(run.project_url))
    image = page.locator(f"{page_of} :is(.thumb, .lsf-image img)").first
    expect(image).to_be_visible()
    page.wait_for_timeout(500)
    place = image.bounding_box()
    assert place is not None and place["width"] >= 100 and place["x"] + place["width"] <= 390
    button = page.get_by_role("button", name=re.compile("^submit", re.IGNORECASE)).first
    expect(button).to_be_in_viewport(ratio=1)
    assert browser.grave(page, page_of) == []
    page.set_viewport_size({"width": 1366, "height": 768})


def test_128_images_fit_on_a_screen_of_1920_and_scroll_on_a_laptops(page: Page, settings: Settings):
    run = run_of(settings, 128)
    page.set_viewport_size({"width": 1920, "height": 1080})
    browser.label_all(page, str(run.project_url))
    thumbs = page.locator(".hero-gallery .thumb")
    expect(thumbs).to_have_count(128)
    page.wait_for_timeout(300)
    sizes = thumbs.evaluate_all("all => all.map(i => i.getBoundingClientRect().toJSON())")
    assert all(size["width"] >= 84 and size["right"] <= 1920 for size in sizes)
    assert all(size["top"] > 0 and size["bottom"] < 1080 - 50 for size in sizes)
    page.set_viewport_size({"width": 1366, "height": 768})
    page.wait_for_timeout(300)
    assert thumbs.first.evaluate("i => i.getBoundingClientRect().width") >= 84
    thumbs.last.scroll_into_view_if_needed()
    expect(thumbs.last).to_be_in_viewport()
