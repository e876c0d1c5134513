"""What has to be true after every recovery.

One look finds what is broken at that moment. Somebody who looks while HERO still puts things in
order looks again: only what stays is a fault.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from backend import exports
from backend.engine_files import batch_folder, checkpoint_folder
from backend.run.records import Run
from backend.settings import Settings
from backend.store import Store
from tests.chaos import opinion
from tests.chaos.ledger import Ledger
from tests.chaos.people import CONTROL
from tests.chaos.undisturbed import Undisturbed, sums

LOST = "no label lost"
TWICE = "no task twice"
LEARNED = "no epoch learned twice"
FROZEN = "frozen sets unchanged"
EQUAL = "batches and checkpoints bit-equal to an undisturbed run's"
RECONCILE = "exports reconcile with Label Studio's"
FAILED = "no run failed"
GOES_ON = "every run goes on"
LIVES = "no process ended by itself"
MENDED = "what was damaged is made again"
INVARIANTS = (
    LOST, TWICE, LEARNED, FROZEN, EQUAL, RECONCILE, FAILED, GOES_ON, LIVES, MENDED,
)  # fmt: skip
_VALUES = {json.dumps(CONTROL.result(value)["value"]): value for value in ("good", "bad", "best")}


@dataclass(frozen=True)
class Broken:
    """An invariant that does not hold."""

    invariant: str
    said: str


class LabelStudio(Protocol):
    """What is asked of the real one, around the proxy."""

    def export(self, project_id: int) -> list[dict[str, Any]]:
        """Its own JSON export: tasks with their annotations."""
        ...


@dataclass
class Invariants:
    """Looks at one life, and remembers what must not change any more."""

    settings: Settings
    store: Store
    label_studio: LabelStudio
    ledger: Ledger
    undisturbed: dict[str, Undisturbed]
    exports_dir: Path
    _frozen: dict[tuple[str, int], Any] = field(default_factory=dict)
    _learned: dict[tuple[str, int], Any] = field(default_factory=dict)
    _equal: set[tuple[str, int]] = field(default_factory=set)

    def look(self) -> list[Broken]:
        """What is broken now; people rest meanwhile."""
        # Each as it is when it is looked at: a look takes long, and workers go on meanwhile.
        return [each for run in self.store.runs() for each in self._of(self.store.run(run.id))]

    def files_made_again(self, run_id: str) -> None:
        """Files of this run were damaged and mended: they are others now, and are to be equal."""
        self._equal = {place for place in self._equal if place[0] != run_id}
        self._learned = {
            place: (*seen[:2], None) if place[0] == run_id else seen
            for place, seen in self._learned.items()
        }

    def _of(self, run: Run) -> Iterator[Broken]:
        if trouble := exports.fetch(self.settings, self.store, run):
            yield Broken(RECONCILE, f"{run.id}: its labels cannot be fetched: {trouble}")
            return
        tasks = [] if run.project_id is None else self.label_studio.export(run.project_id)
        yield from self._tasks(run, tasks)
        yield from self._labels(run, tasks)
        yield from self._epochs(run)
        yield from self._files(run)
        yield from self._shown(run)

    def _tasks(self, run: Run, tasks: list[dict[str, Any]]) -> Iterator[Broken]:
        keys = Counter(task["data"]["hero_image_id"] for task in tasks)
        for key, count in keys.items():
            same = [task for task in tasks if task["data"]["hero_image_id"] == key]
            if count > 1 and not all(task["annotations"] for task in same):
                yield Broken(TWICE, f"{key} has {count} tasks: {[task['id'] for task in same]}")
        images = {image.task_id for image in self.store.images(run.id, run.epoch)}
        if run.state == "labelling" and len(images) < run.images_per_epoch:
            yield Broken(TWICE, f"{run.id}, epoch {run.epoch}: images share the tasks {images}")

    def _labels(self, run: Run, tasks: list[dict[str, Any]]) -> Iterator[Broken]:
        there = {a["id"]: a for task in tasks for a in task["annotations"]}
        for label in self.ledger.labels():
            if label.run_id != run.id:
                continue
            if label.id not in there:
                yield Broken(LOST, f"Label Studio itself lacks {label}")
            elif _value(there[label.id]) != label.value:
                yield Broken(LOST, f"Label Studio itself says otherwise than {label}")
        rows = {row.ls_id: row for row in self.store.annotations(run.id)}
        for number in there:
            if number not in rows:
                yield Broken(LOST, f"{run.id}: annotation {number} is not known")
        if not rows:
            return
        out = self.exports_dir / f"{run.id}.json"
        exports.export(self.settings, self.store, run, "annotations", "json", out, force=True)
        exported = json.loads(out.read_text())
        for number, count in Counter(row["annotation_id"] for row in exported).items():
            if count > 1:
                yield Broken(RECONCILE, f"{run.id}: annotation {number} stands {count} times")
        alive = {row["annotation_id"]: row for row in exported if not row["deleted"]}
        for number in alive.keys() - there.keys():
            yield Broken(RECONCILE, f"{run.id}: annotation {number} is deleted in Label Studio")
        for number in there.keys() - alive.keys():
            yield Broken(RECONCILE, f"{run.id}: annotation {number} is not exported")
        for number in there.keys() & alive.keys():
            said = alive[number]["late_value"] or alive[number]["value"]
            if said != _value(there[number]):
                yield Broken(
                    RECONCILE, f"{run.id}: {number} is {_value(there[number])}, exported as {said}"
                )

    def _epochs(self, run: Run) -> Iterator[Broken]:
        learned = 0
        for epoch in self.store.epochs(run.id):
            place = (run.id, epoch.epoch)
            if epoch.labelled_at is not None:
                images = self.store.images(*place)
                votes = [
                    (row.ls_id, row.index, row.annotator_id, row.value)
                    for row in self.store.votes(*place)
                ]
                now = (
                    votes,
                    [(image.verdict, image.verdict_by) for image in images],
                    epoch.best_index,
                    epoch.labelled_at,
                )
                if self._frozen.setdefault(place, now) != now:
                    yield Broken(FROZEN, f"{place}: {self._frozen[place]} became {now}")
                wanted = opinion.verdicts(*place)
                if [image.verdict for image in images] != wanted:
                    said = [image.verdict for image in images]
                    yield Broken(LOST, f"{place}: people said {wanted}, learned from is {said}")
            if epoch.learned_at is not None:
                learned += 1
                folder = checkpoint_folder(self.settings, run.id, epoch.epoch + 1)
                files = {
                    path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
                    for path in folder.iterdir()
                }
                seen = (epoch.learned_at, epoch.report, files)
                known = self._learned.get(place)
                if known is None or known == (*seen[:2], None):
                    self._learned[place] = seen
                elif known != seen:
                    yield Broken(LEARNED, f"{place}: {self._learned[place]} became {seen}")
        if not run.epoch <= learned <= self.store.run(run.id).epoch:
            yield Broken(LEARNED, f"{run.id} stands at epoch {run.epoch} and learned {learned}")

    def _files(self, run: Run) -> Iterator[Broken]:
        if (run.id, run.epoch) in self._equal:
            return
        wanted = self.undisturbed[run.id].sums(run.epoch)
        found = sums(self.settings, run, run.epoch)
        if wanted == found:
            self._equal.add((run.id, run.epoch))
            return
        names = sorted(
            name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
        )
        yield Broken(EQUAL, f"{run.id}, {run.epoch} epochs: {names}")

    def _shown(self, run: Run) -> Iterator[Broken]:
        """The images that people see are those of the batches."""
        for epoch in range(run.epoch):
            batch = batch_folder(self.settings, run.id, epoch) / "images"
            for image in self.store.images(run.id, epoch):
                shown, drawn = self.settings.images_dir / image.path, batch / Path(image.path).name
                if not drawn.exists():
                    continue  # said above
                if not shown.exists() or shown.read_bytes() != drawn.read_bytes():
                    yield Broken(EQUAL, f"{image.path} is not what was drawn")


def _value(annotation: dict[str, Any]) -> str | None:
    [result] = annotation["result"]
    return _VALUES.get(json.dumps(result["value"]))
