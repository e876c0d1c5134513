"""Annotations that the person in whose name they stand can hardly have made. Pure.

Label Studio takes an annotation in the name of any member from any other (`completed_by`), and does
not tell it from one that was made on the labelling page. These are marked, and count as others do.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from backend.consensus import person_of
from backend.run.labelling import Labelling
from backend.run.records import Annotation

Doubt = Literal["not an annotator of the run", "too quick"]

MOST_IN_A_MINUTE = 120
"""Label Studio alone takes half a second from one image to the next."""
_MINUTE = timedelta(minutes=1)


def doubts(annotations: Iterable[Annotation], labelling: Labelling) -> dict[int, Doubt]:
    """What speaks against an annotation, by its number at Label Studio; those without are left out.

    Args:
        annotations: of a whole run; a gallery's page has several rows of one number.
    """
    found: dict[int, Doubt] = {}
    made: dict[str, dict[int, datetime]] = defaultdict(dict)
    for row in annotations:
        made[person_of(row)][row.ls_id] = row.created_at
        if not labelling.may_vote(row.annotator):
            found[row.ls_id] = "not an annotator of the run"
    for moments in made.values():
        for number in _too_quick(moments):
            found.setdefault(number, "too quick")
    return found


def _too_quick(moments: dict[int, datetime]) -> set[int]:
    """Those of one person that share a minute with more than a person can make."""
    numbers = sorted(moments, key=lambda number: (moments[number], number))
    found: set[int] = set()
    first = 0
    for last, number in enumerate(numbers):
        while moments[number] - moments[numbers[first]] >= _MINUTE:
            first += 1
        if last - first + 1 > MOST_IN_A_MINUTE:
            found.update(numbers[first : last + 1])
    return found
