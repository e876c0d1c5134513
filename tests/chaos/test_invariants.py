"""What `make chaos` looks at does find what is broken."""

import os
import random
import shutil
import subprocess
import sys
import time
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
from tests.chaos.clocks import Clock
from tests.chaos.damage import Harm, damage
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
        self.worker = Worker(self.settings, self.store, engine=ours[1], gateway=lambda: ours[0])
        self.worker.work_once()
        self.label(0)
        self.worker.work_once()
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

    def label(self, epoch: int) -> None:
        self.source.label_all(opinion.verdicts(self.run_id, epoch), epoch)
        self.worker.poll_once()

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


def test_an_epoch_that_is_learned_while_somebody_looks_is_no_fault(
    lived: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lived.broken() == set()
    lived.label(1)
    monkeypatch.setattr(exports, "fetch", lambda *_: lived.worker.work_once() and None)
    assert lived.broken() == set()
    assert lived.run.epoch == 2


@pytest.mark.parametrize("harm", list(Harm))
def test_files_that_go_bad_are_found_until_they_are_made_again(lived: Lived, harm: Harm) -> None:
    assert lived.broken() == set()
    home = lived.settings.home
    kept = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    rng, found = random.Random(1), set()
    for _ in range(40):
        path = damage(lived.settings, lived.run_id, harm, rng)
        assert path is not None and path in kept
        lived.looks.files_made_again(lived.run_id)
        found |= lived.broken()
        for each, content in kept.items():
            each.write_bytes(content)
        lived.looks.files_made_again(lived.run_id)
        assert lived.broken() == set()
    assert EQUAL in found


def test_the_clock_of_a_process_is_set(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    told = [sys.executable, "-c", CLOCKED]
    env = {**os.environ, **clock.python_environment}
    with subprocess.Popen(told, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for wrong in (3600, -3600, 0):
            clock.set(wrong)
            until = time.monotonic() + 60
            while abs(float(process.stdout.readline()) - wrong) > 60:
                assert time.monotonic() < until
        process.kill()


CLOCKED = """
import datetime, time
right = float(open("/proc/stat").read().split("btime")[1].split()[0])
uptime = lambda: float(open("/proc/uptime").read().split()[0])
while True:
    now = datetime.datetime.now(datetime.UTC).timestamp()
    print(now - uptime() - right, flush=True)
    time.sleep(0.05)
"""
