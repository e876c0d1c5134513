"""The question which image of an epoch is the best: one last task with those that may be it."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from backend.consensus import BEST
from backend.run.records import Image, Run, TaskLabels
from backend.settings import Settings
from backend.tasks.gallery import BEST_CONTROL
from backend.tasks.images import image_key, image_url, parse_key
from backend.tasks.publishing import NO_KEY, NewTask, none_is_good, option, prompts_of, star

ASKED = "All images are judged. Which of these good ones is the best?"
_NUMBERS = 9
"""So many images can be chosen by a key, 1 to 9."""


def question_key(run_id: str, epoch: int, number: int) -> str:
    """The name that a question's task carries as `hero_image_id`; `number` counts from 1."""
    return f"{run_id}/{epoch}/best-{number}"


def question_task(
    settings: Settings, run: Run, images: Sequence[Image], candidates: Sequence[int], number: int
) -> NewTask:
    """The task in which the best of these images is chosen, on the page of the run's layout.

    Args:
        images: all of the epoch.
        candidates: the indexes of those to choose from.
        number: of the question, from 1: it is asked again where an answer cannot be used.
    """
    keys = {index: image_key(run.id, run.epoch, index) for index in candidates}
    sources = {index: image_url(settings, images[index].path) for index in candidates}
    data: dict[str, Any] = {
        "prompt": prompts_of(run, images)[candidates[0]],
        "criteria": ASKED,
        "reference": "",
        "epoch": run.epoch + 1,
        "hero_image_id": question_key(run.id, run.epoch, number),
    }
    if run.labelling.layout == "gallery":
        data["begun"] = ""
        data["images"] = [option(keys[i], sources[i], "candidate") for i in candidates]
        data["marks"] = [*(star(keys[i]) for i in candidates), none_is_good()]
        return NewTask(data, "gallery")
    data["image"] = sources[candidates[0]]
    data["marks"] = [
        {
            "value": keys[index],
            "html": f'<img alt="image {index + 1}" src="{escape(sources[index])}">',
            "hotkey": str(place) if place <= _NUMBERS else NO_KEY,
        }
        for place, index in enumerate(candidates, start=1)
    ]
    return NewTask(data, "image")


def question_of(data: Mapping[str, Any]) -> tuple[str, int, tuple[int, ...]] | None:
    """Run, epoch and the images to choose from, of a question's data; None if it is none."""
    found = re.fullmatch(r"(.+)/(\d{1,9})/best-\d{1,9}", str(data.get("hero_image_id", "")))
    marks = data.get("marks")
    if found is None or not isinstance(marks, list):
        return None
    run_id, epoch = found[1], int(found[2])
    places = [parse_key(str(each.get("value"))) for each in marks if isinstance(each, Mapping)]
    ours = [place[2] for place in places if place and place[:2] == (run_id, epoch)]
    return (run_id, epoch, tuple(ours)) if ours else None


def read_answer(run: Run, task: TaskLabels, result: Any) -> tuple[int | None, str | None]:
    """The image that an answer names, or what is wrong with it."""
    chosen: list[Any] = []
    for item in result if isinstance(result, list) else []:
        if isinstance(item, Mapping) and item.get("from_name") == BEST_CONTROL:
            value = item.get("value")
            choices = value.get("choices") if isinstance(value, Mapping) else None
            chosen += choices if isinstance(choices, list) else []
    keys = {image_key(run.id, task.epoch, index): index for index in task.indexes}
    named = [keys[key] for key in chosen if isinstance(key, str) and key in keys]
    if len(named) == 1:
        return named[0], None
    return None, f"asked for the {BEST} image, the answer names none of them; it is asked again."
