"""Several people do anything, in either layout; looks are lost, doubled, late, and overlap."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backend.errors import LabelStudioRefused
from backend.labels import closing
from backend.labels.collect import reconcile
from backend.labels.progress import count_labels
from backend.run.labelling import Labelling
from backend.run.records import Annotation, Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from backend.tasks import publishing
from tests.backend.conftest import CONFIG
from tests.backend.fake_label_studio import FakeLabelStudio, Value, page

PEOPLE = {n: f"{name}@x.org" for n, name in enumerate(("ann", "ben", "cem", "dora", "eve"), 1)}
PLAN = {
    "annotators_per_image": 2,
    "annotators": ("ann@x.org", "ben@x.org", "cem@x.org"),
    "adjudicators": ("dora@x.org",),
}
VALUES = ["good", "bad", "best", "NOPE", None]

Happening = tuple[str, int, int, list[str | None]]
"""What somebody does: kind, a number that says to which task or annotation, person, values."""
HAPPENINGS = st.tuples(
    st.sampled_from(["annotate", "annotate", "skip", "change", "delete", "delete task", "look"]),
    st.integers(0, 99),
    st.sampled_from(sorted(PEOPLE)),
    st.lists(st.sampled_from(VALUES), min_size=4, max_size=4),
)


class Epoch:
    """An epoch of four images that is being labelled, as in `Label Studio` so in the database."""

    def __init__(self, layout: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        home = Path(self.folder.name)
        self.store = Store.connect(f"sqlite:///{home / 'hero.db'}")
        self.source = FakeLabelStudio()
        self.source.people = dict(PEOPLE)
        plan = Labelling(layout=layout, **PLAN)  # type: ignore[arg-type]
        self.store.create_run(CONFIG, labelling=plan, project_id=1)
        claim = self.store.claim("worker", 60)
        assert claim is not None
        run = self.store.batch_written(claim, [f"r/0/{i}.png" for i in range(4)], None, 1.0)
        images = self.store.images(run.id, 0)
        tasks = publishing.tasks(Settings(home=home), run, images, [], {})
        published = self.source.publish(1, run.id, 0, tasks)
        self.run: Run = self.store.published(replace(claim, run=run), published, 1.0)
        self.touched: set[int] = set()
        """Annotations made, changed or deleted since the epoch was closed."""

    def end(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @property
    def closed(self) -> bool:
        return self.store.is_frozen(self.run.id, 0)

    def happen(self, kind: str, which: int, person: int, values: list[str | None]) -> None:
        source = self.source
        tasks, made = sorted(source.tasks), sorted(source.annotations)
        if kind == "look":
            self.look()
        elif kind in ("annotate", "skip") and tasks:
            task = tasks[which % len(tasks)]
            value = self.value(values)
            self.touch(source.annotate(task, value, person, cancelled=kind == "skip"))
        elif kind == "change" and made:
            source.change(made[which % len(made)], self.value(values))
            self.touch(made[which % len(made)])
        elif kind == "delete" and made:
            source.delete(made[which % len(made)])
            self.touch(made[which % len(made)])
        elif kind == "delete task" and which < 10 and tasks:
            task = tasks[which % len(tasks)]
            for number in made:
                if source.annotations[number]["task"] == task:
                    self.touch(number)
            source.delete_task(task)

    def touch(self, number: int) -> None:
        if self.closed:
            self.touched.add(number)

    def value(self, values: list[str | None]) -> Value:
        if self.run.labelling.layout == "image":
            return values[0]
        chosen = {index: value for index, value in enumerate(values) if value}
        return [] if "NOPE" in values[:1] else page(self.run.id, 0, chosen)

    def look(self, meanwhile: Callable[[], object] | None = None) -> list[Annotation]:
        self.source.meanwhile = meanwhile
        try:
            return reconcile(self.store, self.source, self.run, [0]).changed
        except LabelStudioRefused:
            assert self.source.users_hidden
            return []

    def close(self) -> None:
        """As the worker does: look, then freeze."""
        if self.closed:
            return
        now = self.store.run(self.run.id)
        if now.state is State.labelling:
            self.store.transition(now, Event.advance)
        self.source.users_hidden = False
        self.look()
        claim = self.store.claim("worker", 60)
        assert claim is not None
        closing.freeze(self.store, claim)
        self.store.release(claim)
        self.touched.clear()


class AnyEvents(RuleBasedStateMachine):
    layout = ""

    @initialize()
    def start(self) -> None:
        self.epoch = Epoch(self.layout)
        self.history: Any = None

    def teardown(self) -> None:
        if hasattr(self, "epoch"):
            self.a_last_look_tells_all()
            self.epoch.end()

    @rule(happening=HAPPENINGS)
    def happen(self, happening: Happening) -> None:
        self.epoch.happen(*happening)

    @rule(meanwhile=st.lists(HAPPENINGS, min_size=1, max_size=3), close=st.booleans())
    def look_while_things_happen(self, meanwhile: list[Happening], close: bool) -> None:
        def happen() -> None:
            for happening in meanwhile:
                self.epoch.happen(*happening)
            if close:
                self.close()

        self.epoch.look(happen)

    @rule(hidden=st.booleans())
    def hide_users(self, hidden: bool) -> None:
        self.epoch.source.users_hidden = hidden

    @precondition(lambda self: self.history is None)
    @rule()
    def close(self) -> None:
        if self.history is None:
            self.epoch.close()
            self.history = self.remembered()

    def remembered(self) -> Any:
        """What learning was, or will be, given."""
        store, run = self.epoch.store, self.epoch.run
        images = store.images(run.id, 0)
        used = [(row.ls_id, row.index, row.annotator, row.value) for row in store.votes(run.id, 0)]
        verdicts = [(image.verdict, image.verdict_by, image.verdict_reason) for image in images]
        best = store.epochs(run.id)[0]
        return used, verdicts, best.best_index, best.best_reason

    @invariant()
    def history_never_changes(self) -> None:
        if self.history is not None:
            assert self.remembered() == self.history

    def a_last_look_tells_all(self) -> None:
        epoch = self.epoch
        epoch.source.users_hidden = False
        epoch.look()
        assert epoch.look() == []
        self.history_never_changes()
        rows = {(row.ls_id, row.index): row for row in epoch.store.annotations(epoch.run.id, 0)}
        truth = self.truth()
        assert {key for key, row in rows.items() if not row.deleted} == truth.keys()
        for key, (value, person) in truth.items():
            row = rows[key]
            assert (row.annotator_id, row.annotator) == (person, PEOPLE[person])
            assert value == (row.late_value if row.frozen and row.late else row.value)
        late = {row.ls_id for row in rows.values() if row.late}
        assert late == {ls_id for ls_id, _ in rows} & epoch.touched
        if self.history is None:
            counts = count_labels(epoch.store, epoch.run.id, 0)
            assert counts.labelled == self.labelled(truth)

    def truth(self) -> dict[tuple[int, int], tuple[str | None, int]]:
        """Value and person of each annotation and image, read without our own code's help."""
        said = {}
        for number, annotation in self.epoch.source.annotations.items():
            data = self.epoch.source.tasks[annotation["task"]]
            for index in [data["index"]] if self.layout == "image" else range(4):
                value = self.value_of(annotation, index)
                said[number, index] = value, annotation["completed_by"]
        return said

    def value_of(self, annotation: dict[str, Any], index: int) -> str | None:
        if annotation["was_cancelled"] or not annotation["result"]:
            return None
        chosen = {item["from_name"]: item["value"]["choices"] for item in annotation["result"]}
        if self.layout == "image":
            [value] = chosen["verdict"]
            return None if value == "NOPE" else value
        bests = [key for key in chosen["best"] if key != "none"]
        if len(bests) > 1:
            return None
        key = f"{self.epoch.run.id}/0/{index:04d}"
        return "best" if key in bests else "good" if key in chosen.get("good", []) else "bad"

    def labelled(self, truth: dict[tuple[int, int], tuple[str | None, int]]) -> int:
        """Images on which two different people who may, or an adjudicator, have a say."""
        moments = {n: a["updated_at"] for n, a in self.epoch.source.annotations.items()}
        latest: dict[tuple[int, int], tuple[str, str | None]] = {}
        for (number, index), (value, person) in truth.items():
            known = latest.get((person, index), ("", None))
            latest[person, index] = max(known, (moments[number], value), key=lambda pair: pair[0])
        voted = {place for place, (_, value) in latest.items() if value is not None}
        images = range(4)
        enough = [
            (4, index) in voted or sum((person, index) in voted for person in (1, 2, 3)) >= 2
            for index in images
        ]
        return sum(enough)


class OneImageATask(AnyEvents):
    layout = "image"


class OnePageAnEpoch(AnyEvents):
    layout = "gallery"


for machine in (OneImageATask, OnePageAnEpoch):
    machine.TestCase.settings = settings(
        max_examples=15,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
TestOneImageATask = OneImageATask.TestCase
TestOnePageAnEpoch = OnePageAnEpoch.TestCase


@pytest.mark.parametrize("layout", ["image", "gallery"])
def test_a_look_that_the_closing_overtakes_is_taken_again(layout: str):
    epoch = Epoch(layout)
    epoch.happen("annotate", 0, 1, ["best", "bad", "bad", "bad"])

    def meanwhile() -> None:
        epoch.happen("change", 0, 1, ["bad", "good", "bad", "bad"])
        epoch.close()
        epoch.happen("annotate", 0, 2, ["good", "bad", "bad", "bad"])

    epoch.look(meanwhile)
    first, *_ = epoch.store.annotations(epoch.run.id, 0)
    assert (first.value, first.late, first.frozen) == ("bad", False, True)
    assert {row.annotator_id for row in epoch.store.annotations(epoch.run.id, 0) if row.late} == {2}
    epoch.end()


@pytest.mark.parametrize("layout", ["image", "gallery"])
def test_an_older_answer_takes_nothing_back(layout: str):
    epoch = Epoch(layout)
    epoch.happen("annotate", 0, 1, ["best", "bad", "bad", "bad"])
    epoch.look()

    def meanwhile() -> None:
        epoch.happen("delete", 0, 1, [])
        epoch.happen("annotate", 0, 2, ["good", "bad", "bad", "bad"])
        epoch.look()

    epoch.look(meanwhile)
    rows = epoch.store.annotations(epoch.run.id, 0)
    assert {row.annotator_id: row.deleted for row in rows} == {1: True, 2: False}
    epoch.end()
