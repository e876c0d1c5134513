"""The images on which a run's annotators differ, as a tab of Label Studio's Data Manager.

There a lead sees them side by side and settles them: an annotation by one of the run's adjudicators
overrides the votes, and the image leaves the tab.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from backend.consensus import last_words, latest_votes
from backend.errors import HeroServiceError
from backend.run.labelling import Labelling
from backend.run.records import Annotation, Image, Run
from backend.store import Store
from backend.tasks.images import gallery_key, image_key

logger = logging.getLogger(__name__)

TITLE = "Disagreements"


class Tabs(Protocol):
    """What is asked of the gateway."""

    def show_tab(self, project_id: int, title: str, keys: Sequence[str]) -> None:
        """Make or update a tab that holds just the tasks of these keys."""
        ...


def differing(annotations: Iterable[Annotation], labelling: Labelling) -> list[tuple[int, int]]:
    """Epoch and index of the images on which the votes differ and no adjudicator has spoken.

    As the votes stand now: what changed after an epoch was closed alters none of its verdicts, but
    it does show whether people still differ.
    """
    votes = latest_votes(map(_as_it_stands, annotations), labelling)
    said: dict[tuple[int, int], set[str | None]] = {}
    for vote in votes:
        said.setdefault((vote.epoch, vote.index), set()).add(vote.value)
    settled = last_words(votes, labelling)
    return sorted(place for place in said if len(said[place]) > 1 and place not in settled)


def task_keys(run: Run, images: Iterable[Image], places: Iterable[tuple[int, int]]) -> list[str]:
    """The keys of the tasks that show these of the run's images, each once."""
    if run.labelling.layout == "gallery":
        numbers = {
            (image.epoch, image.index): run.prompts.index(image.prompt)
            for image in images
            if image.prompt is not None
        }
        keys = (gallery_key(run.id, place[0], numbers.get(place, 0)) for place in places)
        return list(dict.fromkeys(keys))
    return [image_key(run.id, epoch, index) for epoch, index in places]


class Disagreements:
    """Keeps the tabs of all runs as their votes are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shown: dict[str, list[str]] = {}

    def show(self, gateway: Tabs, run: Run, *, changed: bool) -> None:
        """Bring a run's tab up to date; a run does not fail for want of one.

        Args:
            changed: whether annotations came, changed or went since the last time.
        """
        if run.project_id is None or (run.id in self._shown and not changed):
            return
        places = differing(self._store.annotations(run.id), run.labelling)
        keys = task_keys(run, self._store.images(run.id), places)
        if self._shown.get(run.id) == keys:
            return
        try:
            gateway.show_tab(run.project_id, TITLE, keys)
        except HeroServiceError as error:
            logger.warning("run %s goes on without the tab %s: %s", run.id, TITLE, error)
            return
        self._shown[run.id] = keys


def _as_it_stands(row: Annotation) -> Annotation:
    changed_late = row.frozen and row.late and not row.deleted
    return replace(row, value=row.late_value) if changed_late else row
