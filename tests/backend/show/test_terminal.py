"""What the screen says of a run in every stage."""

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from backend.labels import closing
from backend.labels.progress import count_labels
from backend.run.records import Annotation
from backend.run.states import Event
from backend.show import run_view, terminal
from backend.store import Store
from hero_engine.feedback.summary import FeedbackSummary
from hero_engine.storage.batch import Feedback


def _text(renderable, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def _overview(views, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    terminal.show_overview(views, console)
    return console.file.getvalue()


def _labels(store: Store, run, values: dict[int, str]) -> None:
    now = store._now()
    rows = [
        Annotation(
            run_id=run.id, ls_id=index + 1, epoch=run.epoch, index=index, task_id=index + 100,
            annotator_id=1, annotator="ann@example.com", value=value, problem=None, lead_time=1.0,
            created_at=now, updated_at=now, was_cancelled=False,
        )
        for index, value in values.items()
    ]  # fmt: skip
    store.merge_annotations(run.id, run.epoch, lambda known, frozen: rows)


@pytest.fixture
def labelling(store: Store, config, clock):
    run = store.create_run(config, project_url="http://label-studio/projects/3")
    claim = store.claim("worker", 60)
    run = store.batch_written(claim, [f"{i}.png" for i in range(4)], None, 12.5)
    clock.pass_seconds(1)
    return store.published(replace(claim, run=run), {i: 100 + i for i in range(4)}, 0.5)


def test_a_new_run_is_drawn(store, config):
    run = store.create_run(config)
    claim = store.claim("worker", 60)
    store.progress(claim, "sampling", 3, 8, run.created_at)
    text = _text(terminal.render(run_view.read(store, run.id)))
    assert "epoch 1 of 2" in text
    assert "◉ draw" in text
    assert "3/8" in text
    assert "the model draws images" in text


def test_labels_are_counted_and_the_best_is_asked_for(store, labelling):
    _labels(store, labelling, {0: "good", 1: "bad", 2: "bad"})
    view = run_view.read(store, labelling.id)
    assert view.progress == (3, 4)
    assert view.awaited == "best missing, 1 annotator"
    _labels(store, labelling, {3: "good"})
    assert "which of 2 good images is the best" in run_view.read(store, labelling.id).awaited
    text = _text(terminal.render(view))
    assert "http://label-studio/projects/3" in text
    assert "◉ label" in text
    assert "33%" in text
    assert "12.5" in text


def test_a_finished_epoch_keeps_its_figures(store, labelling):
    _labels(store, labelling, {0: "best", 1: "good", 2: "good", 3: "bad"})
    run = store.transition(labelling, Event.labelled)
    before = run_view.read(store, run.id).lines[0]
    claim = store.claim("worker", 60)
    closing.freeze(store, claim)
    store.learned(claim, {"seconds": {"update": 2.0}}, [0.1, 0.2, 0.3, 0.4], 3.5)
    view = run_view.read(store, run.id)
    (line,) = view.lines
    assert (before.labelled, before.closed) == (4, False)
    assert (line.good, line.labelled, line.closed, line.success_rate) == (3, 4, True, 0.75)
    assert line.seconds["learning"] == 3.5
    assert "75% in epoch 1" in _overview([view])


def test_a_run_that_is_good_enough_says_so_and_where_its_model_came_from(store, config, clock):
    store.create_run({**config, "epochs": 8, "until": 0.95})
    claim = store.claim("worker", 60)
    run = store.batch_written(claim, [f"{i}.png" for i in range(4)], None, 12.5)
    run = store.published(replace(claim, run=run), {i: 100 + i for i in range(4)}, 0.5)
    _labels(store, run, {0: "best", 1: "good", 2: "good", 3: "good"})
    run = store.transition(run, Event.labelled)
    claim = store.claim("worker", 60)
    closing.freeze(store, claim)
    figures = {"model_epoch": 0, "model_good": 127, "model_judged": 128, "good_enough": True}
    store.learned(claim, figures, [], 3.5)
    view = run_view.read(store, run.id)
    assert view.epoch == 1
    text = " ".join(_text(terminal.render(view)).split())
    assert "epoch 1 of 8" in text
    assert "good enough after 4 labels: 127 of 128 fresh images are good, 99% (96 to 100)" in text
    assert "The run's model is the pretrained one: 127 of 128" in text


def test_people_are_told_why_nothing_was_learned(store, labelling):
    _labels(store, labelling, {0: "bad", 1: "bad", 2: "bad", 3: "bad"})
    assert count_labels(store, labelling.id, 0).complete
    run = store.transition(labelling, Event.labelled)
    claim = store.claim("worker", 60)
    closing.freeze(store, claim)
    said = FeedbackSummary.of(Feedback((False,) * 4, None)).nothing_to_learn(has_anchor=False)
    store.learned(claim, {"note": said}, [], 3.5)
    view = run_view.read(store, run.id)
    text = " ".join(_text(terminal.render(view)).split())
    assert "Epoch 1: None of the 4 judged images is good" in text
    assert "the next batch is drawn as this one" in text
    console = Console(file=io.StringIO(), width=200)
    with terminal.Screen(console) as shown:
        shown.update(view)
        shown.update(view)
    assert console.file.getvalue().count("None of the 4 judged images is good") == 1


@pytest.mark.parametrize(
    ("event", "words"), [(Event.pause, "hero resume"), (Event.fail, "because"), (Event.stop, "st")]
)
def test_a_run_that_does_not_go_on_says_why(store, labelling, event, words):
    store.transition(labelling, event, error="because of the disk")
    text = _text(terminal.render(run_view.read(store, labelling.id)))
    assert words in text
    assert "◉ label" in text or event is Event.stop


def test_a_log_file_gets_a_line_a_change(store, labelling, clock):
    console = Console(file=io.StringIO(), width=200)
    with terminal.Screen(console) as shown:
        for _ in range(3):
            shown.update(run_view.read(store, labelling.id))
        _labels(store, labelling, {0: "good", 1: "bad"})
        shown.update(run_view.read(store, labelling.id))
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert "0/4" in lines[0]
    assert "2/4" in lines[1]


def test_a_terminal_is_redrawn_in_place(store, labelling):
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with terminal.Screen(console, notes=("a note",)) as shown:
        shown.update(run_view.read(store, labelling.id))
    assert "a note" in console.file.getvalue()


def test_the_seconds_of_a_stage_count_up(store, labelling, clock, monkeypatch):
    class Later(terminal.datetime):
        @classmethod
        def now(cls, tz=None):
            return labelling.updated_at + timedelta(seconds=7)

    monkeypatch.setattr(terminal, "datetime", Later)
    assert "7 …" in _text(terminal.render(run_view.read(store, labelling.id)))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_link_is_whole_however_narrow_the_terminal_is(store, config, width):
    long = "https://label-studio.example.org/projects/3"
    run = store.create_run(config, project_url=long)
    store.transition(run, Event.fail, error="because of a disk that holds nothing any more")
    views = [run_view.read(store, run.id)]
    assert f"  {long}" in _overview(views, width).splitlines()
    assert "a disk that holds nothing any more" in " ".join(_overview(views, width).split())
    if width >= 80:
        assert long in _text(terminal.render(views[0]), width)


def test_success_is_told_by_epoch(store, labelling):
    read = run_view.read(store, labelling.id)
    assert read.success == ""
    line = replace(read.lines[0], good=1, judged=4)
    assert replace(read, lines=(line,)).success == "25% in epoch 1"
    later = replace(line, number=2, good=3)
    assert replace(read, lines=(line, line, later)).success == "25% → 75%"


def test_waiting_says_for_what_and_how_long():
    console = Console(file=io.StringIO(), width=100)
    with terminal.Waiting(console) as waiting:
        waiting.say("Label Studio starts [a] first time")
        waiting.say("the backend starts")
        waiting.over()
        waiting.say("the worker is started again")
        waiting.say("once more")
    assert console.file.getvalue().splitlines() == [
        "Label Studio starts [a] first time ...",
        "  after 0 s",
        "the backend starts ...",
        "  after 0 s",
        "the worker is started again ...",
        "once more ...",
    ]


def test_a_terminal_has_a_spinner_with_the_time_while_it_waits():
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with terminal.Waiting(console) as waiting:
        waiting.say("Label Studio's first start: it makes its [database], about 40 s")
        waiting._spinner.refresh()
        waiting.over()
        waiting.say("the worker is started again")
    said = console.file.getvalue()
    assert "Label Studio's first start: it makes its [database], about 40 s" in said
    assert "0:00:0" in said
    assert said.rstrip().endswith("the worker is started again ...")
