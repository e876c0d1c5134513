"""Votes as tests write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from backend.run.records import Annotation

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Vote:
    ls_id: int
    index: int
    annotator_id: int | None
    value: str | None
    updated_at: datetime = START
    deleted: bool = False
    epoch: int = 0
    annotator: str | None = None
    pick: bool = False


def ballots(*images: str, epoch: int = 0, seconds: float = 0) -> list[Vote]:
    """Votes of persons 1, 2, ... on images 0, 1, ...: `gbtx-`, a letter a person.

    g good, b bad, t best, x a skip, - nothing; person n is called `pn@x`.
    """
    values = {"g": "good", "b": "bad", "t": "best", "x": None}
    return [
        Vote(
            ls_id=10_000 * epoch + 100 * index + person,
            index=index,
            annotator_id=person,
            value=values[letter],
            updated_at=START + timedelta(seconds=seconds),
            epoch=epoch,
            annotator=f"p{person}@x",
        )
        for index, image in enumerate(images)
        for person, letter in enumerate(image, start=1)
        if letter != "-"
    ]


def annotations(
    run_id: str, *images: str, epoch: int = 0, lead_time: float | None = 2.0, **fields: Any
) -> list[Annotation]:
    """The same as rows of the store."""
    return [
        Annotation(
            run_id=run_id,
            ls_id=vote.ls_id,
            epoch=epoch,
            index=vote.index,
            task_id=vote.index,
            annotator_id=vote.annotator_id,
            annotator=vote.annotator,
            value=vote.value,
            problem=None,
            lead_time=lead_time,
            created_at=START,
            updated_at=vote.updated_at,
            was_cancelled=False,
            **fields,
        )
        for vote in ballots(*images, epoch=epoch)
    ]


def values(verdicts: Sequence[str | None]) -> str:
    """Verdicts in the same letters; - where there is none."""
    return "".join({"good": "g", "bad": "b", "best": "t", None: "-"}[v] for v in verdicts)
