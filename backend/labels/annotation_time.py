"""How long people were at it: what a run cost them, without their nights and lunches. Pure."""

from collections.abc import Iterable
from itertools import groupby

from backend.run.records import Annotation

LONGEST = 600.0
"""Seconds that an annotation is taken to have needed at most: beyond, somebody had gone away."""
LONGEST_OF_AN_IMAGE = 60.0
"""The same for each image of a gallery's page, where that is more."""


def seconds_spent(annotations: Iterable[Annotation]) -> float | None:
    """The time that all people together spent, of every annotation, whether it counted or not.

    Label Studio measures from the opening of a task to its submission, also while nobody is there:
    hence the bounds.

    Args:
        annotations: a row an image; the lead time of a gallery's page is the whole page's.

    Returns:
        Seconds; None where Label Studio told no lead time.
    """
    known = [row for row in annotations if row.lead_time is not None]
    pages = [list(rows) for _, rows in groupby(sorted(known, key=_number), key=_number)]
    if not pages:
        return None
    return sum(
        min(max(page[0].lead_time or 0.0, 0.0), max(LONGEST, LONGEST_OF_AN_IMAGE * len(page)))
        for page in pages
    )


def _number(row: Annotation) -> int:
    return row.ls_id
