"""An epoch's images -> the tasks in which people see them, in either layout."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from backend.run.labelling import Layout
from backend.run.records import Epoch, Image, Run
from backend.settings import Settings
from backend.tasks import selection
from backend.tasks.gallery import NONE_IS_GOOD
from backend.tasks.images import gallery_key, image_url, parse_key
from backend.tasks.predictions import Prediction, Predictions, good_from
from backend.tasks.suggestions import Opening

NO_KEY = "f19"
"""Hotkey of every choice of a gallery page. Without one Label Studio gives a letter or digit to the
first 36, and whoever presses g out of habit would mark an image without looking at it."""


@dataclass(frozen=True)
class NewTask:
    """A task to publish; `data["hero_image_id"]` is its key."""

    data: Mapping[str, Any]
    layout: Layout = "image"
    prediction: Prediction | None = None


@dataclass(frozen=True)
class Shown:
    """The images that a task shows."""

    run_id: str
    epoch: int
    indexes: tuple[int, ...]

    @classmethod
    def by(cls, data: Mapping[str, Any]) -> "Shown | None":
        """What a task's data says it shows; None if the task is not ours."""
        key = str(data.get("hero_image_id", ""))
        place = parse_key(key)
        if place is not None:
            return cls(place[0], place[1], (place[2],))
        options = data.get("images")
        places = [
            parse_key(str(option.get("value")))
            for option in (options if isinstance(options, list) else [])
            if isinstance(option, Mapping)
        ]
        page = re.sub(r"(?<=/gallery)-\d{1,9}$", "", key)
        ours = [place for place in places if place and gallery_key(*place[:2]) == page]
        return cls(*ours[0][:2], tuple(place[2] for place in ours)) if ours else None


def tasks(
    settings: Settings,
    run: Run,
    images: Sequence[Image],
    epochs: Sequence[Epoch],
    bests: Mapping[str, Image],
    opening: Opening | None = None,
) -> list[NewTask]:
    """The tasks of a run's present epoch, in the order in which people see them.

    Args:
        images: all of the epoch; people see those that are `asked`.
        epochs: the run's so far.
        bests: the best image so far of each prompt, to compare with.
        opening: which images are clicked when a gallery's page opens; none by default.
    """
    opening = opening or Opening()
    similarities = [image.prediction for image in images]
    prompts = prompts_of(run, images)
    predictions = Predictions.of(run, epochs, run.epoch, images)
    order = selection.arrange(
        [image.index for image in images if image.asked],
        similarities,
        good_from(epochs, run.epoch),
        run.labelling.order,
    )

    def said(prompt: str) -> dict[str, Any]:
        return {
            "prompt": prompt,
            "criteria": run.labelling.criteria_of(prompt),
            "reference": _reference(settings, bests[prompt]) if prompt in bests else "",
            "epoch": run.epoch + 1,  # as people count
        }

    keys = predictions.keys
    if run.labelling.layout == "gallery":
        pages = []
        for number, prompt in enumerate(run.prompts):
            shown = [i for i in order if prompts[i] == prompt]
            page = {
                **said(prompt),
                "begun": opening.in_words,
                "images": [
                    option(
                        keys[i],
                        image_url(settings, images[i].path),
                        "yours" if i in opening.left else "",
                        chosen=i in opening.suggested,
                    )
                    for i in shown
                ],
                "marks": [
                    *(star(keys[i]) for i in shown),
                    none_is_good(),
                ],
                "hero_image_id": gallery_key(run.id, run.epoch, number),
            }
            if shown:
                pages.append(NewTask(page, "gallery", predictions.of_task(shown)))
        return pages
    return [
        NewTask(
            {
                **said(prompts[i]),
                "image": image_url(settings, images[i].path),
                "marks": [],
                "index": i,
                "hero_image_id": keys[i],
            },
            "image",
            predictions.of_task([i]),
        )
        for i in order
    ]


def prompts_of(run: Run, images: Sequence[Image]) -> list[str]:
    """What each image was drawn with."""
    return [run.prompt if image.prompt is None else image.prompt for image in images]


def bests_so_far(run: Run, images: Sequence[Image], epochs: Sequence[Epoch]) -> dict[str, Image]:
    """Of each prompt that has one, the best image of the latest epoch before the present one.

    Args:
        images: of all epochs, in order.
    """
    chosen = {(row.epoch, index) for row in epochs[: run.epoch] for index in row.bests}
    bests = [image for image in images if (image.epoch, image.index) in chosen]
    return dict(zip(prompts_of(run, bests), bests, strict=True))


def option(key: str, address: str, of_class: str = "", *, chosen: bool = False) -> dict[str, Any]:
    """An image of a gallery's page, to click; `chosen` if it is clicked when the page opens."""
    source, thumb = escape(address), f"thumb {of_class}".strip()
    html = (
        f'<img class="{thumb}" alt="{_name(key)}" src="{source}">'
        f'<img class="large" alt="" loading="lazy" src="{source}">'
    )
    return {"value": key, "html": html, "hotkey": NO_KEY, **({"selected": True} if chosen else {})}


def star(key: str) -> dict[str, str]:
    """The star of an image of a gallery's page."""
    return _mark(key, f'<span aria-label="{_name(key)} is the best">\u2605</span>')


def none_is_good() -> dict[str, str]:
    """What is pressed on a page without a good image."""
    return _mark(NONE_IS_GOOD, "<span>none is good</span>")


def _mark(value: str, html: str) -> dict[str, str]:
    return {"value": value, "html": html, "hotkey": NO_KEY}


def _name(key: str) -> str:
    """What a screen reader calls an image."""
    place = parse_key(key)
    return f"image {place[2] + 1}" if place else "image"


def _reference(settings: Settings, best: Image) -> str:
    source = escape(image_url(settings, best.path))
    return f'<span>best so far</span><img alt="the best image so far" src="{source}">'
