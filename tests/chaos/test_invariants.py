"""What `make chaos` looks at does find what is broken."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from backend import exports
from backend.engine_files import checkpoint_folder
from backend.run.records import Run
from backend.settings import Settings
from backend.store import Store, tables
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.chaos import opinion
from tests.chaos.invariants import EQUAL, FROZEN, LEARNED, LOST, RECONCILE, TWICE, Invariants
from tests.chaos.ledger import Label, Ledger
from tests.chaos.undisturbed import Sums, sums


class Lived:
    """A run after its first epoch, and what looks at it."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = Settings(home=home / "home", label_studio_url="http://127.0.0.1:1")
        self.store = Store.open(self.settings)
        self.source = FakeLabelStudio()
        self.run_id = self.store.create_run(CONFIG, project_id=1).id
        ours: Any = self.source, FakeEngine(self.settings)
        worker = Worker(self.settings, self.store, engine=ours[1], gateway=lambda: ours[0])
        worker.work_once()
        self.source.label_all(opinion.verdicts(self.run_id, 0), 0)
        worker.poll_once()
        worker.work_once()
        self.folder = checkpoint_folder(self.settings, self.run_id, 1)
        (self.folder / "lora.safetensors").write_bytes(b"learned")
        self.copy = Settings(home=home / "undisturbed")
        shutil.copytree(self.settings.home, self.copy.home)
        monkeypatch.setattr(exports, "fetch", lambda *_: None)
        self.ledger, images = Ledger(), self.store.images(self.run_id, 0)
        for row in self.store.annotations(self.run_id):
            place = (1, row.task_id, row.epoch, row.index)
            self.ledger.add(Label(row.ls_id, self.run_id, *place, 0, str(row.value)))
        assert len(images) == len(self.ledger.labels()) == 4
        undisturbed: Any = {self.run_id: self}
        self.looks = Invariants(self.settings, self.store, self, self.ledger, undisturbed, home)

    @property
    def run(self) -> Run:
        return self.store.run(self.run_id)

    def sums(self, epochs: int) -> Sums:
        return sums(self.copy, self.run, epochs)

    def export(self, project_id: int) -> list[dict[str, Any]]:
        made = list(self.source.annotations.values())
        return [
            {"id": number, "data": data, "annotations": [a for a in made if a["task"] == number]}
            for number, data in self.source.tasks.items()
        ]

    def broken(self) -> set[str]:
        return {each.invariant for each in self.looks.look()}

    def write(self, statement: Any) -> None:
        with self.store._write() as connection:
            connection.execute(statement)


@pytest.fixture
def lived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lived:
    return Lived(tmp_path, monkeypatch)


def lose_a_row(lived: Lived) -> None:
    lived.write(sa.delete(tables.annotations).where(tables.annotations.c.index == 0))


def change_a_verdict(lived: Lived) -> None:
    lived.write(
        sa.update(tables.images).where(tables.images.c.verdict == "best").values(verdict="bad")
    )


def make_a_task_twice(lived: Lived) -> None:
    lived.source.tasks[999] = dict(lived.source.tasks[1])


def lose_a_label_in_label_studio(lived: Lived) -> None:
    del lived.source.annotations[min(lived.source.annotations)]


def learn_once_more(lived: Lived) -> None:
    """Of an epoch that has no images, and so no tasks of its own."""
    lived.write(sa.update(tables.runs).values(epoch=2))


def write_a_checkpoint_again(lived: Lived) -> None:
    (lived.folder / "lora.safetensors").unlink()
    (lived.folder / "lora.safetensors").write_bytes(b"learned")


def flip_a_bit(lived: Lived) -> None:
    lived.looks._equal.clear()
    (lived.folder / "lora.safetensors").write_bytes(b"mearned")


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (lose_a_row, {LOST, FROZEN, RECONCILE}),
        (change_a_verdict, {LOST, FROZEN}),
        (make_a_task_twice, {TWICE}),
        (lose_a_label_in_label_studio, {LOST, RECONCILE}),
        (learn_once_more, {LEARNED, TWICE}),
        (write_a_checkpoint_again, {LEARNED}),
        (flip_a_bit, {LEARNED, EQUAL}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_each_fault_is_found(lived: Lived, fault: Callable[[Lived], None], found: set[str]) -> None:
    assert lived.broken() == set()
    assert lived.broken() == set(), "nothing changed between two looks"
    fault(lived)
    assert lived.broken() == found
