"""Commands typed as the documentation shows them, in a folder with a home folder of its own."""

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backend.label_studio.browser_session import Member
from backend.local import processes
from backend.local.label_studio_server import Account
from backend.settings import Settings
from backend.store import Run, Store
from backend.tasks.label_config import template, verdict_control

ROOT = Path(__file__).parents[2]
CONTROL = verdict_control(template())


def commands(page: Path) -> list[str]:
    """What a page's `sh` blocks have: a command is one line, or several with backslashes."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").replace("\ndo ", "; do ").splitlines()
    return [line.strip() for line in lines if line.strip()]


@dataclass
class Terminal:
    """A shell in `folder`, whose `hero` is that of the Python that runs the tests."""

    home: Path
    folder: Path = ROOT
    variables: dict[str, str] = field(default_factory=dict)
    _up: "subprocess.Popen[bytes] | None" = None

    def run(self, command: str, *, seconds: float = 300) -> str:
        """The command's output; it has to end well."""
        answer = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
        return answer.stdout

    def up(self, command: str) -> None:
        """Starts `make up` or `hero up`, if it has not been, and waits until all is there."""
        if self._up is not None:
            return
        log = self.home.parent / "up.log"
        with log.open("wb") as file:
            self._up = subprocess.Popen(
                shlex.split(command),
                cwd=self.folder,
                env=self._environment(),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        started = processes.wait_until(
            lambda: (self.home / "up.json").exists(),
            seconds=120,
            alive=lambda: self._up is not None and self._up.poll() is None,
        )
        assert started, log.read_text()

    def watch(self, command: str) -> None:
        """Looks for a while, then presses Ctrl-C."""
        watching = subprocess.Popen(
            shlex.split(command),
            cwd=self.folder,
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
        if self._up is not None:
            os.killpg(self._up.pid, signal.SIGINT)
            self._up.wait(timeout=60)

    def store(self) -> Store:
        return Store.open(Settings.load(self.home))

    def account(self) -> Account:
        """Of the Label Studio that was started."""
        found = Account.load(self.home / "label-studio")
        assert found is not None
        return found

    def label(self, store: Store, run: Run, images: int) -> None:
        """Judges so many of the run's images, once they are there: the first as the best, then bad
        and good in turn."""
        assert wait(lambda: store.run(run.id).state == "labelling")
        account = self.account()
        person = Member.log_in(account.url, account.email, account.password)
        for count in range(images):
            task = person.next_task(store.run(run.id).project_id or 0)
            assert task is not None
            verdict = "best" if count == 0 else ("good", "bad")[count % 2]
            person.annotate(task["id"], [CONTROL.result(verdict)], lead_time=0.1)
        person.close()

    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        usual = {"HERO_HOME": str(self.home), "COLUMNS": "160", "PATH": path}
        return {**os.environ, **usual, **self.variables}


def wait(condition, seconds: float = 180) -> bool:
    return processes.wait_until(condition, seconds=seconds, alive=lambda: True)
