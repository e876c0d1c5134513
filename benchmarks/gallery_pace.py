"""How long a person takes for a gallery of 64 images, by a real browser in a real Label Studio.

    python -m benchmarks.gallery_pace

A script labels at a person's pace: it looks at each image for 0.3 s, and its hand takes the seconds
of the keystroke-level model (Card, Moran and Newell, 1980): 1.1 to point, 0.1 to click, 0.2 for a
key, and 1.35 to make up its mind which image is the best. All that Label Studio takes is in it:
from asking for the page to the answer to Submit. The images have one colour each; which are good is
drawn at random. Where the model suggests, it is right about 92 % of them, and the person puts right
what is wrong.
"""

import random
import time
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from backend.settings import Settings
from backend.tasks.suggestions import Agreement, Opening
from benchmarks.cells import RESULTS
from benchmarks.jobs import console
from benchmarks.real_label_studio import started
from benchmarks.sheets import Sheet
from benchmarks.written import write
from tests.e2e import browser
from tests.e2e.test_browser_gallery import IMAGES, run_of, submitted_values

LOOK, POINT, CLICK, KEY, MIND = 0.3, 1.1, 0.1, 0.2, 1.35
RIGHT = 0.92
LEFT = IMAGES // 8
"""Images without a suggestion."""


@dataclass
class Hand:
    """Does what a person does, in a person's time."""

    page: Page
    clicks: int = 0

    def look(self, images: int) -> None:
        """At so many images, one after the other."""
        time.sleep(images * LOOK)

    def click(self, place: int, part: str = "good") -> None:
        """Point at an image, a star or the switch, and click."""
        time.sleep(POINT + CLICK)
        self.page.locator(f".hero-gallery .{part} label").nth(place).click()
        self.clicks += 1

    def submit(self) -> None:
        """By Space; until Label Studio has taken it."""
        time.sleep(KEY)
        with browser.submitted(self.page):
            self.page.keyboard.press("Space")


def labelled(page: Page, settings: Settings, share: float, suggests: bool) -> tuple[float, int]:
    """Seconds and clicks of one page."""
    rng = random.Random(f"{share} {suggests}")
    good = {i for i in range(IMAGES) if rng.random() < share}
    opening, marked = None, set[int]()
    if suggests:
        left = set(rng.sample(range(IMAGES), LEFT))
        marked = {i for i in range(IMAGES) if (i in good) == (rng.random() < RIGHT)} - left
        opening = Opening(frozenset(marked), frozenset(left), Agreement(59, IMAGES))
    run = run_of(settings, IMAGES, opening)
    hand, began = Hand(page), time.monotonic()
    browser.label_all(page, str(run.project_url))
    expect(page.locator(".hero-gallery .thumb")).to_have_count(IMAGES)
    wanted = good
    if not suggests and share > 0.5:
        hand.click(0, "others")  # "All are good, but those I click"
        wanted = set(range(IMAGES)) - good
    seen = 0
    for place in sorted(wanted ^ marked):
        hand.look(place + 1 - seen)
        seen = place + 1
        hand.click(place)
    hand.look(IMAGES - seen)
    time.sleep(MIND)
    hand.click(min(good), "best")
    hand.submit()
    seconds = time.monotonic() - began
    said = {index for index, value in submitted_values(settings, run).items() if value != "bad"}
    assert said == good, said ^ good
    return seconds, hand.clicks


def main() -> None:
    """Label a page of each kind."""
    table = Sheet(
        f"A gallery of {IMAGES} images at a person's pace",
        ["good images", "the page opens with suggestions", "clicks", "seconds"],
    )
    rows = []
    with started() as (server, settings), browser.opened(1440, 900) as page:
        browser.log_in(page, server.url, server.email, server.password)
        for share in (0.28, 0.8):
            for suggests in (False, True):
                seconds, clicks = labelled(page, settings, share, suggests)
                said = "yes" if suggests else "no"
                rows.append(
                    {
                        "good": share,
                        "suggestions": suggests,
                        "clicks": clicks,
                        "seconds": seconds,
                    }
                )
                table.add(f"{share:.0%}", said, clicks, f"{seconds:.0f}")
    write(RESULTS / "gallery_pace.json", "gallery_pace", rows, table, console())


if __name__ == "__main__":
    main()
