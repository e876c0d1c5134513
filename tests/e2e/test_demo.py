"""`hero demo`, shortened: interrupted in the middle, started again, and everything it leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image
from safetensors import safe_open

from backend.label_studio.browser_session import Member
from backend.local import processes
from backend.local.label_studio_server import Account
from backend.settings import Settings
from backend.store import Store
from backend.tasks.best_question import question_of
from tinyworld.bundled import JUDGE, PIPELINE

pytestmark = [
    pytest.mark.label_studio,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (JUDGE.exists() and PIPELINE.exists()), reason="the bundled model is not trained"
    ),
]

IMAGES, EPOCHS = 8, 2


DEMO = ("demo", "--images", str(IMAGES), "--epochs", str(EPOCHS), "--steps", "10")


class Command:
    """`hero ...` as a person starts it in a terminal of their own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.log = home.with_name("hero.log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("hero")), *arguments],
                env={**os.environ, "HERO_HOME": str(home)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._seen: dict[int, psutil.Process] = {}

    @property
    def alive(self) -> bool:
        if self.process.poll() is not None:
            return False
        for child in psutil.Process(self.process.pid).children(recursive=True):
            self._seen[child.pid] = child
        return True

    def left_over(self) -> list[psutil.Process]:
        """What it started and has not ended."""
        _, alive = psutil.wait_procs(self._seen.values(), timeout=5)
        return alive


def test_the_demo_can_be_stopped_goes_on_and_closes_the_circle(
    tmp_path: Path, empty_label_studio: Path
):
    home = tmp_path / "home"
    shutil.copytree(empty_label_studio, home / "label-studio")
    report = home / "demo" / "report.json"

    first = Command(home, *DEMO)
    assert _until(lambda: _epochs_learned(report) >= 1, first), first.log.read_text()
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(timeout=300) == 130
    assert len(first._seen) >= 3
    assert first.left_over() == []
    stopped = json.loads(report.read_text())
    assert stopped["finished"] is False

    second = Command(home, *DEMO)
    assert not _until(lambda: False, second)
    assert second.process.returncode == 0, second.log.read_text()
    assert second.left_over() == []

    told = json.loads(report.read_text())
    assert told["finished"] is True
    assert told["run"] == stopped["run"]
    assert [epoch["epoch"] for epoch in told["epochs"]] == [0, 1]
    for epoch in told["epochs"]:
        assert epoch["labelled"] == IMAGES
        assert 0 <= epoch["success_rate"] <= 1
        assert {"generating", "publishing", "labelling", "learning"} <= epoch["seconds"].keys()
        assert Image.open(home / "demo" / epoch["grid"]).width > 500
    assert Image.open(home / "demo" / "curve.png").width > 500
    with safe_open(home / "demo" / told["files"]["lora"], "pt") as lora:
        assert len(list(lora.keys())) > 0
    samples = home / "runs" / told["run"] / "samples"
    assert [len(list((samples / f"epoch-{n:04d}").glob("*.png"))) for n in range(3)] == [6, 6, 6]

    up = Command(home, "up")
    assert _until(lambda: "HERO is up" in up.log.read_text(), up), up.log.read_text()
    _two_people_labelled_in_label_studio(home, told["run"])
    if sys.platform == "linux":
        up.process.kill()
    else:
        up.process.terminate()
    up.process.wait(timeout=60)
    assert up.left_over() == []


@pytest.mark.parametrize("model", ["tiny-sd3", "tiny-sdxl"])
def test_the_demo_goes_round_with_a_model_of_another_family(
    tmp_path: Path, empty_label_studio: Path, model: str
):
    home = tmp_path / "home"
    shutil.copytree(empty_label_studio, home / "label-studio")
    short = ("--images", "4", "--epochs", "1", "--steps", "5")
    command = Command(home, "demo", "--model", model, *short)
    assert not _until(lambda: False, command)
    assert command.process.returncode == 0, command.log.read_text()
    told = json.loads((home / "demo" / "report.json").read_text())
    assert told["finished"] is True
    assert [epoch["labelled"] for epoch in told["epochs"]] == [4]
    assert (home / "demo" / told["files"]["lora"]).exists()
    store = Store.open(Settings.load(home))
    assert store.run(told["run"]).config["model"] == model
    store.close()


def _two_people_labelled_in_label_studio(home: Path, run_id: str) -> None:
    """Seen with the owner's login, as the demo's last lines say."""
    account = Account.load(home / "label-studio")
    assert account is not None
    store = Store.open(Settings.load(home))
    project = store.run(run_id).project_id
    verdicts = [image.verdict for image in store.images(run_id)]
    store.close()
    assert project is not None
    owner = Member.log_in(account.url, account.email, account.password)
    found = [task for epoch in range(EPOCHS) for task in owner.tasks(project, epoch)]
    tasks = [task for task in found if question_of(task["data"]) is None]
    asked = [task for task in found if task not in tasks]
    people = {row["completed_by"] for task in tasks for row in task["annotations"]}
    assert len(tasks) == IMAGES * EPOCHS
    assert all(len(task["annotations"]) == 1 for task in found)
    assert len(people) == 2
    assert owner.user_id not in people
    said = {task["data"]["hero_image_id"]: _choice(task) for task in tasks}
    found_as = dict(zip(sorted(said), verdicts, strict=True))
    assert {key: verdict.replace("best", "good") for key, verdict in found_as.items()} == said
    assert all(found_as[_choice(task)] == "best" for task in asked)
    assert owner.image(tasks[0]["data"]["image"]).startswith(b"\x89PNG")
    owner.close()


def _choice(task: dict[str, Any]) -> str:
    return str(task["annotations"][0]["result"][0]["value"]["choices"][0])


def _epochs_learned(report: Path) -> int:
    return len(json.loads(report.read_text())["epochs"]) if report.exists() else 0


def _until(condition, command: Command) -> bool:
    return processes.wait_until(condition, seconds=1200, alive=lambda: command.alive)
