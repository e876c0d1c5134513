"""Makes the documentation's pictures: `python scripts/make_screenshots.py [HERO_HOME]`.

`labelling.png` and `gallery.png` are the labelling pages of two short runs that are started for it
and taken away again, and `compare.png` is a pair of the first one's model; `finished-run.png` puts
the first and last grid of the home's finished demo beside its curve, where there is one. Afterwards
`python scripts/compress_pictures.py docs/*.png`.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from backend import engine
from backend.comparing import carry_out
from backend.label_studio import Gateway
from backend.label_studio.browser_session import Member
from backend.local import processes
from backend.local.stack import Address, Stack, interruptible
from backend.run.labelling import Labelling, Layout
from backend.run.states import Event, State
from backend.starting.criteria import default_criteria
from backend.starting.start_run import start_run
from backend.store import Run, Store
from backend.tasks.images import image_key
from backend.tasks.label_config import controls, template
from tinyworld.annotator import Annotator, Marks

DOCS = Path(__file__).parents[1] / "docs"
HEIGHT = 620


def main() -> None:
    """Makes all of them."""
    home = Path(sys.argv[1] if len(sys.argv) > 1 else ".hero")
    if (home / "demo" / "report.json").exists():
        finished_run(home / "demo", DOCS / "finished-run.png")
    with interruptible(), Stack(home, say=print) as stack:
        labelling(stack, "image", 24, DOCS / "labelling.png", DOCS / "compare.png")
        labelling(stack, "gallery", 64, DOCS / "gallery.png")


def finished_run(demo: Path, target: Path) -> None:
    """First grid, curve, last grid."""
    epochs = len(json.loads((demo / "report.json").read_text())["epochs"])
    names = ("grid-epoch-1.png", "curve.png", f"grid-epoch-{epochs}.png")
    parts = [Image.open(demo / name).convert("RGB") for name in names]
    parts = [part.resize((part.width * HEIGHT // part.height, HEIGHT)) for part in parts]
    gap = 24
    width = sum(part.width for part in parts) + gap * (len(parts) - 1)
    sheet = Image.new("RGB", (width, HEIGHT), "white")
    left = 0
    for part in parts:
        sheet.paste(part, (left, 0))
        left += part.width + gap
    sheet.save(target, optimize=True)


def labelling(
    stack: Stack, layout: Layout, images: int, target: Path, compared: Path | None = None
) -> None:
    """A layout's page in a run's second epoch, when there is a best image so far; and a pair of the
    model that the run has by then."""
    config = engine.make_config("tiny", images_per_epoch=images, epochs=2, seed=3)
    plan = Labelling(layout=layout, criteria=default_criteria(config.prompt))
    store = Store.open(stack.settings)
    run = start_run(stack.settings, store, config.flat(), labelling=plan)
    try:
        wait(store, run, epoch=0)
        label(stack, store, run)
        wait(store, run, epoch=1)
        with logged_in(stack.address) as page:
            photograph(page, run, opinions(stack, store, run, epoch=1), target)
            if compared is not None:
                photograph_pair(page, stack, store, store.run(run.id), compared)
    finally:
        store.transition(run.id, Event.stop)
        store.close()
        Gateway(stack.settings).delete_project(run.project_id or 0)


def wait(store: Store, run: Run, epoch: int) -> None:
    """Until that epoch is to be labelled."""

    def ready() -> bool:
        now = store.run(run.id)
        return (now.state, now.epoch) == (State.labelling, epoch)

    if not processes.wait_until(ready, seconds=600, alive=lambda: True):
        raise SystemExit(f"The run did not come to labelling: {store.run(run.id)}")


def opinions(stack: Stack, store: Store, run: Run, epoch: int) -> Marks:
    """What a simulated annotator thinks of an epoch's images."""
    rows = store.images(run.id, epoch)
    pictures = [Image.open(stack.settings.images_dir / row.path) for row in rows]
    return Annotator(run.prompt).mark(pictures)


def label(stack: Stack, store: Store, run: Run) -> None:
    """The first epoch, as that annotator would."""
    address, layout = stack.address, run.labelling.layout
    member = Member.log_in(address.label_studio, address.email or "", address.password or "")
    marks = opinions(stack, store, run, epoch=0)
    page = controls(template(layout), layout)
    for task_id, shown in groupby(store.images(run.id, 0), key=lambda image: image.task_id):
        verdicts = {
            image_key(run.id, 0, image.index): "best"
            if image.index == marks.best
            else "good"
            if marks.good[image.index]
            else "bad"
            for image in shown
        }
        member.annotate(task_id or 0, page.prediction(verdicts), lead_time=1.0)
    member.close()


@contextmanager
def logged_in(address: Address) -> Iterator[Page]:
    """A page of Chromium, with the owner at it."""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.set_default_timeout(60_000)
        page.goto(f"{address.label_studio}/user/login")
        page.fill("input[name=email]", address.email or "")
        page.fill("input[name=password]", address.password or "")
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "login" not in url)
        yield page
        browser.close()


def photograph(page: Page, run: Run, marks: Marks, target: Path) -> None:
    """Opens the first task, begins to label it."""
    page.goto(f"{run.project_url}/data?labeling=1")
    page.locator(".reference img").wait_for()
    page.wait_for_timeout(3000)
    if run.labelling.layout == "gallery":
        click_images(page, marks)
    else:
        page.keyboard.press("g" if marks.good[0] else "b")
    page.wait_for_timeout(1000)
    page.screenshot(path=target)


def photograph_pair(page: Page, stack: Stack, store: Store, run: Run, target: Path) -> None:
    """The first pair of a comparison with the base model, answered but not submitted."""
    gateway = Gateway(stack.settings)
    made = carry_out.chosen(store, run, pairs=4, seed=1)
    made = carry_out.publish(stack.settings, store, gateway, made, lambda *_: None)
    page.goto(carry_out.label_address(stack.settings, made))
    page.get_by_alt_text("left image").wait_for()
    page.wait_for_timeout(3000)
    page.keyboard.press("1" if made.side_of_run(0) == "left" else "2")
    page.wait_for_timeout(1000)
    page.screenshot(path=target)
    gateway.delete_project(made.project_id or 0)


def click_images(page: Page, marks: Marks) -> None:
    """The first half of the good images, and the best; the pointer rests on the next image."""
    half = len(marks.good) // 2
    for index, good in enumerate(marks.good):
        if good and (index < half or index == marks.best):
            page.locator(".good label").nth(index).click()
    if marks.best is not None:
        page.locator(".best label").nth(marks.best).click()
    page.locator(".good label").nth(half).hover()


if __name__ == "__main__":
    main()
