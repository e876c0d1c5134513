"""A step by several processes: the same files as by one, and nothing half-written when one dies."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.run.states import Event, State
from backend.worker.lease import is_dead
from tests.backend.worker.circle import HERO, HERO_PLUS, Circle

pytestmark = pytest.mark.slow


def ranks(above: psutil.Process) -> dict[str, psutil.Process]:
    """The processes of a step that are under a process, by their numbers."""
    found = {}
    for process in above.children(recursive=True):
        try:
            if "backend.worker.step" in process.cmdline() and "--standalone" not in (
                process.cmdline()
            ):
                found[process.environ()["RANK"]] = process
        except (psutil.Error, KeyError):
            continue
    return found


@pytest.fixture
def drawing(tmp_path: Path, model: Callable[[str], Path]) -> Iterator[Circle]:
    """A run whose first batch takes so long that something can happen meanwhile."""
    slow = {"num_inference_steps": 500, "sample_batch_size": 1}
    yield Circle(tmp_path, model=str(model("sd")), **slow, **HERO_PLUS)


def meanwhile(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("counts", "family", "fields"),
    [((2, 4), "sd", HERO), ((2,), "sd3", HERO_PLUS)],
    ids=["hero by DDIM", "hero+ by flow"],
)
def test_the_files_are_those_of_one_process(
    tmp_path: Path,
    model: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    counts: tuple[int, ...],
    family: str,
    fields: dict[str, Any],
):
    def gone_round(count: int) -> dict[str, str]:
        circle = Circle(tmp_path / str(count), model=str(model(family)), **fields)
        for step in ("draw", "learn"):
            if step == "learn":
                circle.label()
            assert circle.worker(count).work_once()
        assert circle.run.error is None
        # The batch of the second epoch is drawn by what was learned in the first.
        assert (circle.run.state, circle.run.epoch) == (State.labelling, 1)
        report = circle.store.epochs(circle.id)[0].report
        assert report is not None and report["updated"]
        return circle.files()

    expected = gone_round(1)
    assert len(expected) >= 4 * 4 + 4
    monkeypatch.setenv("RANK", "3")  # by accident
    for count in counts:
        assert gone_round(count) == expected
    said = capfd.readouterr().err
    assert ("2 of 4 processes had something to do" in said) is (4 in counts)


@pytest.mark.parametrize("number", ["0", "1"])
def test_a_process_that_dies_ends_the_step_and_nothing_else(drawing: Circle, number: str):
    def kill() -> None:
        drawing.wait(lambda: drawing.run.stage == "sampling")
        ranks(psutil.Process())[number].kill()

    killer = meanwhile(kill)
    assert drawing.worker(2).work_once()
    killer.join()
    assert not ranks(psutil.Process())
    run = drawing.run
    assert run.state is State.generating and run.lease_owner is None
    assert run.error is not None and "2 processes of the step was killed" in run.error
    assert "tried again by itself" in run.error
    assert drawing.untouched()


def test_what_another_number_of_processes_did_not_finish_is_done_by_one(drawing: Circle):
    thread = meanwhile(
        lambda: drawing.wait(lambda: ranks(psutil.Process()).get("1")).kill()  # type: ignore[union-attr]
    )
    drawing.worker(2).work_once()
    thread.join()
    assert drawing.run.retry_at is not None
    drawing.wait(drawing.worker().work_once)
    assert drawing.run.state is State.labelling
    assert len(list(drawing.settings.images_dir.rglob("*.png"))) == 4


def test_a_pause_ends_the_processes(drawing: Circle):
    def pause() -> None:
        drawing.wait(lambda: drawing.run.stage == "sampling")
        drawing.store.transition(drawing.id, Event.pause)

    thread = meanwhile(pause)
    assert drawing.worker(2).work_once()
    thread.join()
    assert drawing.run.state is State.paused
    assert drawing.run.error is None
    assert not ranks(psutil.Process())
    assert drawing.untouched()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_the_processes_end_with_the_worker(drawing: Circle, sign: signal.Signals):
    env = {
        **os.environ,
        "HERO_HOME": str(drawing.settings.home),
        "HERO_PROCESSES": "2",
        "LABEL_STUDIO_URL": "http://127.0.0.1:1",
    }
    with subprocess.Popen([sys.executable, "-m", "backend.worker"], env=env) as worker:
        drawing.wait(lambda: drawing.run.stage == "sampling")
        found = ranks(psutil.Process(worker.pid))
        assert sorted(found) == ["0", "1"]
        worker.send_signal(sign)
    _, alive = psutil.wait_procs(found.values(), timeout=10)
    assert not alive
    assert drawing.run.state is State.generating
    drawing.store.release_dead(is_dead)
    assert drawing.store.work_waits()
    assert drawing.untouched()


def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path):
    circle = Circle(tmp_path, model=str(tmp_path / "gone"), **HERO_PLUS)
    assert circle.worker(2).work_once()
    run = circle.run
    assert run.state is State.failed
    assert run.error is not None and str(tmp_path / "gone") in run.error and "\n" not in run.error
    assert circle.untouched()


def test_who_has_lost_the_lease_meanwhile_writes_nothing(drawing: Circle):
    def take_over() -> None:
        drawing.wait(lambda: ranks(psutil.Process()))
        drawing.store.release_dead(lambda name: True)

    thread = meanwhile(take_over)
    assert drawing.worker(2).work_once()
    thread.join()
    assert drawing.run.state is State.generating
    assert drawing.run.error is None
    assert drawing.untouched()
