"""Makes the README's pictures from a finished demo: `python docs/make_screenshots.py [HERO_HOME]`.

`labelling.png` is the labelling page of a short run that is started for it and taken away again;
`finished-run.png` puts the demo's first and last grid beside its curve.
"""

import json
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from backend import engine, processes
from backend.label_studio import Gateway
from backend.runs import Event, State
from backend.stack import Address, Stack, interruptible
from backend.start import start_run
from backend.store import Run, Store

DOCS = Path(__file__).parent
HEIGHT = 620


def main() -> None:
    """Makes both pictures."""
    home = Path(sys.argv[1] if len(sys.argv) > 1 else ".hero")
    finished_run(home / "demo", DOCS / "finished-run.png")
    with interruptible(), Stack(home, say=print) as stack:
        labelling(stack, DOCS / "labelling.png")


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


def labelling(stack: Stack, target: Path) -> None:
    """The page on which one image is judged."""
    config = engine.make_config("tiny", images_per_epoch=8, epochs=1, seed=3)
    store = Store.open(stack.settings)
    run = start_run(stack.settings, store, config.model_dump(mode="json"))
    try:
        ready = processes.wait_until(
            lambda: store.run(run.id).state is State.labelling, seconds=300, alive=lambda: True
        )
        if not ready:
            raise SystemExit(f"The run did not come to labelling: {store.run(run.id).error}")
        photograph(stack.address, run, target)
    finally:
        store.transition(run.id, Event.stop)
        store.close()
        Gateway(stack.settings).delete_project(run.project_id or 0)


def photograph(address: Address, run: Run, target: Path) -> None:
    """Logs in, opens the first task, calls it good."""
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{address.label_studio}/user/login")
        page.fill("input[name=email]", address.email or "")
        page.fill("input[name=password]", address.password or "")
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "login" not in url)
        page.goto(f"{run.project_url}/data?labeling=1")
        page.locator(".hero img").first.wait_for()
        page.wait_for_timeout(2000)
        page.keyboard.press("g")
        page.wait_for_timeout(500)
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main()
