"""Every command of the README, typed as it stands there, in the README's order.

Only what a machine of its own would have is put in place: a folder for the data, a Label Studio
that has made its first start already, a short `make demo`, and a model for `/path/to/...`.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open

from backend.label_studio.browser_session import Member
from backend.local import processes
from backend.local.label_studio_server import Account
from backend.settings import Settings
from backend.store import Store
from backend.tasks.label_config import template, verdict_control
from tinyworld.bundled import PIPELINE

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MODEL_IN_README = "/path/to/stable-diffusion-v1-5"
SHORT = {"make demo": "make demo DEMO='--images 4 --epochs 1 --steps 5'"}
CONTROL = verdict_control(template())


def commands() -> list[str]:
    """The lines of the README's `sh` blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


class Terminal:
    """A shell in the repository's folder, with a home folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.up: subprocess.Popen[bytes] | None = None

    def run(self, command: str, *, seconds: float = 300) -> str:
        answer = subprocess.run(
            shlex.split(SHORT.get(command, command).replace(MODEL_IN_README, str(PIPELINE))),
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
        return answer.stdout

    def make_up(self) -> None:
        if self.up is not None:
            return
        log = (self.home.parent / "up.log").open("wb")
        self.up = subprocess.Popen(
            ["make", "up"], cwd=ROOT, env=self._environment(), stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        started = processes.wait_until(
            lambda: (self.home / "up.json").exists(),
            seconds=120,
            alive=lambda: self.up is not None and self.up.poll() is None,
        )
        assert started, (self.home.parent / "up.log").read_text()

    def watch(self, command: str) -> None:
        """Looks for a while, then presses Ctrl-C."""
        watching = subprocess.Popen(
            shlex.split(command),
            cwd=ROOT,
            env=self._environment(),
            stdout=subprocess.PIPE,
            # A background job of a shell ignores SIGINT, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        with pytest.raises(subprocess.TimeoutExpired):
            watching.wait(timeout=5)
        watching.send_signal(signal.SIGINT)
        shown, _ = watching.communicate(timeout=30)
        assert b"epoch" in shown

    def close(self) -> None:
        if self.up is not None:
            os.killpg(self.up.pid, signal.SIGINT)
            self.up.wait(timeout=60)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "HERO_HOME": str(self.home), "COLUMNS": "160"}


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
    typed = commands()
    assert "make demo" in typed and "make up" in typed and "make test" in typed
    for command in typed:
        if command == "make up":
            terminal.make_up()
        elif command in ("make test", "make test-fast"):
            continue  # this is one of its tests
        elif " watch " in command:
            terminal.watch(command)
            label_an_epoch(terminal.home)
        elif " export " in command:
            wrote = re.search(r"Wrote (\S+)", terminal.run(command))
            assert wrote is not None
            with safe_open(ROOT / wrote.group(1), "pt") as lora:
                assert len(list(lora.keys())) > 0
        else:
            terminal.run(command)


def label_an_epoch(home: Path) -> None:
    """What the README's steps say between its commands, until the model has learned."""
    store = Store.open(Settings.load(home))
    account = Account.load(home / "label-studio")
    assert account is not None
    (run,) = (run for run in store.runs() if run.state not in ("finished", "stopped"))
    assert wait(lambda: store.run(run.id).state == "labelling")
    person = Member.log_in(account.url, account.email, account.password)
    count = 0
    while task := person.next_task(store.run(run.id).project_id or 0):
        verdict = "best" if count == 0 else ("good", "bad")[count % 2]
        person.annotate(task["id"], [CONTROL.result(verdict)], lead_time=0.1)
        count += 1
        if count == run.images_per_epoch:
            break
    person.close()
    assert wait(lambda: store.run(run.id).epoch == 1)
    store.close()


def wait(condition) -> bool:
    return processes.wait_until(condition, seconds=180, alive=lambda: True)
