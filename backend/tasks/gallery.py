"""What a gallery page's annotation says of each image. Pure."""

from collections.abc import Mapping
from typing import Any

from backend.consensus import BAD, BEST, GOOD

GOOD_CONTROL, BEST_CONTROL, OTHERS_CONTROL = "good", "best", "others"
"""The names of the page's Choices controls. Where the others are good, the clicked ones are bad;
pages of earlier versions have no such control."""
NONE_IS_GOOD = "none"
"""The best control's value on a page without a single good image."""


def read_page(result: Any, indexes_by_key: Mapping[str, int]) -> tuple[dict[int, str], str | None]:
    """The value of each image of a page: what is not clicked is bad, the best is good as well.
    Or, where all are good but those that are clicked, what is clicked is bad.

    A page on which good images are clicked and no best (or "none is good") keeps its good ones.

    Args:
        result: the annotation's, as Label Studio gives it.
        indexes_by_key: the index of each image of the page by its key, the choices' value.

    Returns:
        Value by index, and None; or nothing, and what is wrong with the annotation.
    """
    clicked: dict[str, list[Any]] = {GOOD_CONTROL: [], BEST_CONTROL: [], OTHERS_CONTROL: []}
    for item in result if isinstance(result, list) else []:
        if isinstance(item, Mapping) and item.get("from_name") in clicked:
            value = item.get("value")
            choices = value.get("choices") if isinstance(value, Mapping) else None
            clicked[item["from_name"]] += choices if isinstance(choices, list) else []
    good, best = clicked[GOOD_CONTROL], clicked[BEST_CONTROL]
    others_are_good = GOOD in clicked[OTHERS_CONTROL]
    if not good and not best and not others_are_good:
        return {}, (
            "the page says nothing; click the good images and the best one, or that none is good."
        )
    known = {*indexes_by_key, NONE_IS_GOOD}
    strange = [key for key in [*good, *best] if not isinstance(key, str) or key not in known]
    if strange:
        named = ", ".join(repr(key) for key in strange[:3])
        return {}, f"the page says {named}, which is none of its images; correct it there."
    bests = {indexes_by_key[key] for key in best if key in indexes_by_key}
    if len(bests) > 1:
        return {}, f"the page names {len(bests)} best images; choose one of them there."
    chosen = {indexes_by_key[key] for key in good if key in indexes_by_key}
    return {
        index: BEST if index in bests else GOOD if (index in chosen) != others_are_good else BAD
        for index in indexes_by_key.values()
    }, None
