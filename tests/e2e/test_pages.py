"""Every command in the `sh` blocks of docs/, typed as it stands there, beside one `hero up`.

What a page cannot know is put in its place: a model for `/models/...`, a folder for `/data/...`,
the number of an empty project, and for `latest` a run that has learned from one epoch. Runs that a
page starts are stopped at once. What needs a Docker engine is in `ELSEWHERE`.
"""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backend.label_studio.browser_session import Member
from backend.local import label_studio_server
from backend.store import Run, Store
from tests.e2e.terminal import ROOT, Terminal, commands, wait
from tinyworld.bundled import PIPELINE

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

DOCS = ROOT / "docs"
PAGES = (
    *("models", "labelling", "exports", "teams", "settings", "troubleshooting", "results"),
    *("research", "research-log", "compare", "many-prompts", "scaling", "label-studio-ml"),
    "first-run",  # the last one: it stops the run
)
ELSEWHERE = {
    "git pull": "a newer version, which no test can know",
    "docker compose": "tests/e2e/test_topology.py runs the same commands as plain processes",
    "python -m benchmarks.research": "trains for minutes; tests/benchmarks/test_research.py has it",
    "git checkout 9425af8": "the version that has the settings which were removed",
    "hero export latest --what lora --push": "tests/backend/exports/test_hub_push.py has a hub",
    "alias hero=": "a shell's alias for the commands below it",
    "hero compare": "tests/e2e/test_compare.py goes the whole circle",
    "hero import-labels": "tests/e2e/test_import_labels.py has pictures and an export",
    "hero start --prompts": "tests/backend/starting/test_plan.py has the file",
    "sbatch": "a cluster; tests/backend/test_deploy.py checks the script",
    "pip install --no-deps git+": "tests/backend/web/test_label_studio_ml.py has a stand-in",
    "pip install semver": "the same",
    "waitress-serve": "the same",
    "torchrun": "tests/backend/worker/test_step.py runs it on two hosts",
    "python -m backend.worker": "tests/e2e/test_fleet.py and others run it",
}
OF_THE_READER = (
    "/path/to/stable-diffusion-v1-5",
    "/models/stable-diffusion-v1-5",
    "/path/to/stable-diffusion-3.5-medium",
    "/path/to/FLUX.1-dev",
    "stabilityai/stable-diffusion-xl-base-1.0",
    "~/Downloads/from-civitai.safetensors",
)
"""Models that a page names and this machine does not have."""
START = (
    "hero start --prompt 'photo of one blue rose in a vase' --images 8 --epochs 9 --steps 10 "
    "--set denoising_steps=2"
)


def test_every_page_with_commands_is_typed():
    with_commands = {page.stem for page in DOCS.glob("*.md") if commands(page)}
    assert with_commands <= set(PAGES)


@dataclass
class Reader:
    """Somebody who types what the pages say."""

    terminal: Terminal
    store: Store
    member: Member
    run: Run

    def type(self, command: str) -> None:
        if any(command.startswith(start) for start in ELSEWHERE):
            return
        if command.startswith("EDITOR_KEYMAP="):
            self._same_keymap(command)
            return
        if command.startswith(("make up", "hero up")):
            return  # it runs already
        command = self._here(command)
        if "hero watch" in command:
            self.terminal.watch(command)
        elif "hero start" in command:
            self._stop_again(self.terminal.run(command))
        elif "hero advance" in command:
            self.terminal.label(self.store, self.run, images=2)
            self.terminal.run(command)
        else:
            self.terminal.run(command)

    def _here(self, command: str) -> str:
        """The command with this machine's places, and with the run that there is."""
        command = command.replace(".venv/bin/hero", "hero")
        command = re.sub(r"\blatest\b", self.run.id, command)
        for model in OF_THE_READER:
            command = command.replace(model, str(PIPELINE))
        command = command.replace("/data/hero", str(self.terminal.folder))
        command = command.replace("https://label-studio.example.org", self.terminal.account().url)
        if "--project 7" in command:
            command = command.replace("--project 7", f"--project {self._empty_project()}")
        return command

    def _empty_project(self) -> int:
        answer = self.member.http.post("/api/projects/", json={"title": "mine"})
        answer.raise_for_status()
        return answer.json()["id"]

    def _stop_again(self, said: str) -> None:
        started = re.search(r"Run (\S+) has started", said)
        assert started is not None, said
        self.terminal.run(f"hero stop {started[1]}")

    def _same_keymap(self, command: str) -> None:
        """The variable is what the Label Studio of `hero up` is started with."""
        keymap = json.loads(re.search(r"'(.*)' label-studio start", command)[1])  # type: ignore[index]
        environment = label_studio_server.environment(
            self.terminal.account(), data=self.terminal.home, files_root=self.terminal.home
        )
        assert json.loads(environment["EDITOR_KEYMAP"]) == keymap


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, empty_label_studio: Path) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("pages")
    home = folder / ".hero"
    shutil.copytree(empty_label_studio, home / "label-studio")
    (folder / "docs").mkdir()
    for place in (folder / "docs" / "run.example.yaml", folder / "run.yaml"):
        shutil.copy(DOCS / "run.example.yaml", place)
    shutil.copy(ROOT / "docker.env.example", folder)
    terminal = Terminal(home, folder)
    terminal.up("hero up")
    account = terminal.account()
    terminal.variables["TOKEN"] = account.token
    store = terminal.store()
    terminal.run(START)
    (run,) = store.runs()
    terminal.label(store, run, run.images_per_epoch)
    assert wait(lambda: store.run(run.id).epoch == 1)
    member = Member.log_in(account.url, account.email, account.password)
    yield Reader(terminal, store, member, run)
    member.close()
    store.close()
    terminal.close()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page(reader: Reader, page: str):
    exports = reader.terminal.home / "runs" / reader.run.id / "exports"
    shutil.rmtree(exports, ignore_errors=True)  # another page may write the same file
    for command in commands(DOCS / f"{page}.md"):
        reader.type(command)
    if page == "labelling":
        assert space_submits(reader.member.http)
    if page == "teams":
        secrets = (reader.terminal.folder / ".env").read_text()
        assert re.search(r"^POSTGRES_PASSWORD=[0-9a-f]{40}$", secrets, re.M)


def space_submits(person: httpx.Client) -> bool:
    """Whether the person's own hotkeys have Space for submitting."""
    hotkeys = person.get("/api/current-user/hotkeys/").raise_for_status().json()
    return hotkeys["custom_hotkeys"]["annotation:annotation:submit"]["key"] == "space"
