"""The pairs of a blind comparison -> tasks, and what an annotation says of a pair.

Nothing that Label Studio holds tells which model drew an image: a pair's images are called left and
right, and which is which is known to the comparison alone.
"""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from backend.run.comparison import CHOICES, SIDES, TIE, Comparison, Side
from backend.settings import Settings
from backend.tasks.images import image_url

CONTROL = "better"
"""The name of the page's Choices."""
NO_DIFFERENCE = "no difference"


def pair_path(comparison_id: str, pair: int, side: Side) -> str:
    """Where an image of a pair lies, relative to the home's images folder."""
    return f"{comparison_id}/{pair:04d}-{side}.png"


def pair_key(comparison_id: str, pair: int) -> str:
    """The name that a pair's task carries as `hero_image_id`."""
    return f"{comparison_id}/pair/{pair:04d}"


def pair_task(settings: Settings, comparison: Comparison, pair: int) -> dict[str, Any]:
    """The data of a pair's task."""
    options = []
    for key, side in enumerate(SIDES, start=1):
        source = escape(image_url(settings, pair_path(comparison.id, pair, side)))
        html = f'<img alt="{side} image" src="{source}">'
        options.append({"value": side, "html": html, "hotkey": str(key)})
    options.append({"value": TIE, "html": f"<span>{NO_DIFFERENCE}</span>", "hotkey": "3"})
    return {
        "prompt": comparison.prompt_of(pair),
        "criteria": comparison.criteria_of(pair),
        "options": options,
        "hero_image_id": pair_key(comparison.id, pair),
    }


def pair_of(data: Mapping[str, Any]) -> tuple[str, int] | None:
    """Comparison and pair of a task's data; None if it is none."""
    found = re.fullmatch(r"(.+)/pair/(\d{4,9})", str(data.get("hero_image_id", "")), re.ASCII)
    return (found[1], int(found[2])) if found else None


def choice(value: str) -> list[dict[str, Any]]:
    """An annotation's result that says left, right or tie."""
    said = {"choices": [value]}
    return [{"from_name": CONTROL, "to_name": "prompt", "type": "choices", "value": said}]


def read_choice(result: Any) -> str | None:
    """What an annotation's result says; None where it is not exactly one of `CHOICES`."""
    said: list[Any] = []
    for item in result if isinstance(result, list) else []:
        if isinstance(item, Mapping) and item.get("from_name") == CONTROL:
            value = item.get("value")
            choices = value.get("choices") if isinstance(value, Mapping) else None
            said += choices if isinstance(choices, list) else []
    return said[0] if len(said) == 1 and said[0] in CHOICES else None
