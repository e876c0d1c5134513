"""Two holders of one run, stopped and woken at any instruction, leave the right checkpoint."""

import os
import random
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from hero_engine.storage import whole as writing

CONTENT = {"state.json": "the same", "lora.safetensors": "whoever makes it"}


class Turns:
    """Lets threads go on line by line of the writer's code, by a schedule."""

    def __init__(self, names: list[str], seed: int) -> None:
        self._random = random.Random(seed)
        self._running = set(names)
        self._next = names[0]
        self._changed = threading.Condition()
        self._left = 0

    def line(self, name: str) -> None:
        """Wait until it is this thread's turn to take a line."""
        with self._changed:
            while self._next != name:
                self._changed.wait(5)
            self._left -= 1
            if self._left <= 0:
                self._pass_on()

    def end(self, name: str) -> None:
        with self._changed:
            self._running.discard(name)
            self._pass_on()

    def _pass_on(self) -> None:
        if self._running:
            self._next = self._random.choice(sorted(self._running))
            self._left = self._random.choice([1, 1, 2, 5, 20])
        self._changed.notify_all()


def write(target: Path) -> None:
    if target.exists():
        return
    with writing.whole_folder(target, once=True) as partial:
        for name, text in CONTENT.items():
            (partial / name).write_text(text)


def both(target: Path, seed: int) -> list[BaseException]:
    names = ["one", "other"]
    turns = Turns(names, seed)
    failures: list[BaseException] = []

    def holder(name: str) -> None:
        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            if frame.f_code.co_filename in (writing.__file__, __file__) and event == "line":
                turns.line(name)
            return trace

        sys.settrace(trace)
        try:
            write(target)
        except BaseException as error:
            failures.append(error)
        finally:
            sys.settrace(None)
            turns.end(name)

    threads = [threading.Thread(target=holder, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


@pytest.mark.parametrize("tenth", range(10))
def test_a_thousand_interleavings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tenth: int):
    monkeypatch.setattr(writing, "_lives", lambda pid: True)
    monkeypatch.setattr(writing, "sync", lambda path: None)
    monkeypatch.setattr(os, "getpid", threading.get_ident)
    for seed in range(100 * tenth, 100 * tenth + 100):
        target = tmp_path / str(seed) / "epoch-0001"
        assert both(target, seed) == [], seed
        assert {path.name: path.read_text() for path in target.iterdir()} == CONTENT, seed
        assert [path.name for path in target.parent.iterdir()] == ["epoch-0001"], seed


def test_what_is_there_is_not_moved(tmp_path: Path):
    target = tmp_path / "epoch-0001"
    write(target)
    before = target.stat().st_ino
    with writing.whole_folder(target, once=True) as partial:
        (partial / "lora.safetensors").write_text("a stopped worker's")
    assert target.stat().st_ino == before
    assert (target / "lora.safetensors").read_text() == CONTENT["lora.safetensors"]
    assert list(tmp_path.iterdir()) == [target]
