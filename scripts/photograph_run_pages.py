"""Takes the pictures of the run pages: `python scripts/photograph_run_pages.py`.

Takes the newest run of HERO_HOME (.hero by default), such as the one that `make demo` leaves.
Afterwards `python scripts/compress_pictures.py docs/*.png`.
"""

import shutil
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from backend.dashboard.access import COOKIE, Role, new_cookie
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.web.app import create_app

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    """`run-page.png` and `epoch-page.png`."""
    settings = ensure_secrets(Settings.load())
    store = Store.open(settings)
    server = make_server("127.0.0.1", 0, create_app(settings, store), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run = f"http://127.0.0.1:{server.port}/runs/{store.run('latest').id}"
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1480})
        page.context.add_cookies(
            [
                {
                    "name": COOKIE,
                    "value": new_cookie(settings, Role.owner),
                    "url": run.partition("/runs")[0],
                }
            ]
        )
        for address, name in ((run, "run-page.png"), (f"{run}/epochs/3", "epoch-page.png")):
            page.goto(address)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=DOCS / name, clip={"x": 0, "y": 0, "width": 1280, "height": 1480})
        browser.close()
    server.shutdown()
    store.close()


if __name__ == "__main__":
    main()
