"""Every command of the README, typed as it stands there, in the README's order.

Only what a machine of its own would have is put in place: a folder for the data, a Label Studio
that has made its first start already, and a short `make demo`.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.e2e.terminal import ROOT, Terminal, commands, wait

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

SHORT = {"make demo": "make demo DEMO='--images 4 --epochs 1 --steps 5'"}


@pytest.fixture
def terminal(tmp_path: Path, empty_label_studio: Path) -> Iterator[Terminal]:
    home = tmp_path / "home"
    shutil.copytree(empty_label_studio, home / "label-studio")
    opened = Terminal(home)
    yield opened
    opened.close()


@pytest.mark.skipif(
    not (ROOT / ".venv" / ".installed").exists(), reason="the README's commands need `make env`"
)
def test_every_command_of_the_readme(terminal: Terminal):
    typed = commands(ROOT / "README.md")
    assert "make demo" in typed and "make up" in typed and len(typed) >= 7
    for command in typed:
        if command == "make up":
            terminal.up(command)
        elif " watch " in command:
            terminal.watch(command)
            label_an_epoch(terminal)
        elif " export " in command:
            wrote = re.search(r"Wrote (\S+)", terminal.run(command))
            assert wrote is not None
            with safe_open(ROOT / wrote.group(1), "pt") as lora:
                assert len(list(lora.keys())) > 0
        else:
            terminal.run(SHORT.get(command, command))


def label_an_epoch(terminal: Terminal) -> None:
    """What the README's steps say between its commands, until the model has learned."""
    store = terminal.store()
    (run,) = (run for run in store.runs() if run.state not in ("finished", "stopped"))
    terminal.label(store, run, run.images_per_epoch)
    assert wait(lambda: store.run(run.id).epoch == 1)
    store.close()
