"""The commands for backup, restore and upgrade in docs/teams.md, run as they stand there.

The services are processes of this machine instead of containers: `docker compose` is what this file
makes of it.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

from backend.label_studio.browser_session import Member
from backend.run.states import State
from backend.settings import Settings
from backend.store import Store
from tests.compose import ROOT
from tests.e2e.test_topology import label, wait
from tests.e2e.topology import Topology

pytestmark = [pytest.mark.label_studio, pytest.mark.postgres, pytest.mark.slow]

OPTIONS_WITH_A_VALUE = {"-u", "--entrypoint"}
NOT_TO_BE_RUN = ("git pull", "docker compose build --pull")
CONTAINER_USER = 1001
IN_CONTAINERS = r"docker compose (?P<command>exec|run) (?P<words>.*?)(?P<file> [<>] \S+)?"


def test_what_was_backed_up_goes_on_after_a_restore(tmp_path: Path):
    with Topology(tmp_path) as team:
        team.start()
        team.run(
            "worker", "hero", "start", "--prompt", "one blue rose", "--images", "4",
            "--epochs", "1", "--steps", "3", "--set", "embedding_steps=3",
        )  # fmt: skip
        store = opened(team)
        (run,) = store.runs()
        assert wait(lambda: store.run(run.id).state is State.labelling)
        owner = log_in(team)
        label(owner, run.project_id, ["best"] * 4, count=1)
        assert wait(lambda: len(store.annotations(run.id)) == 1)
        images = store.images(run.id)
        store.close()
        for folder, _, files in os.walk(team.volumes):
            for path in (Path(folder), *(Path(folder) / file for file in files)):
                os.chown(path, CONTAINER_USER, CONTAINER_USER)

        run_section(team, "Back up")
        team.down()
        run_section(team, "Restore")

        owners = {path.stat().st_uid for path in (team.volumes / "data/hero/images").rglob("*.png")}
        assert owners == {CONTAINER_USER} or os.geteuid() != 0
        store = opened(team)
        assert store.images(run.id) == images
        assert [row.value for row in store.annotations(run.id)] == ["best"]
        owner = log_in(team)
        label(owner, run.project_id, ["bad"] * 4, count=3)
        assert wait(lambda: store.run(run.id).state is State.finished)
        said = sorted(image.verdict or "" for image in store.images(run.id, 0))
        assert said == ["bad", "bad", "bad", "best"]
        store.close()

        run_section(team, "Upgrade")
        assert "finished" in team.run("worker", "hero", "runs")


def run_section(team: Topology, heading: str) -> None:
    """Every command below a heading of the page."""
    page = (ROOT / "docs" / "teams.md").read_text()
    section = page.split(f"### {heading}\n")[1].split("\n#")[0]
    commands = [
        line for block in re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)
        for line in block.splitlines()
    ]  # fmt: skip
    assert commands
    for command in commands:
        run_command(team, command)


def run_command(team: Topology, command: str) -> None:
    """What a command means for services that are processes."""
    if command in NOT_TO_BE_RUN:
        return
    if command == "docker compose up -d --wait db":
        team.start_alone("db")
    elif command == "docker compose up -d --wait":
        team.start()
    else:
        found = re.fullmatch(IN_CONTAINERS, command)
        assert found is not None, command
        service, words = in_container(shlex.split(found["words"]), set(team.services))
        direction, _, file = (found["file"] or "").strip().partition(" ")
        said = (team.folder / file).read_bytes() if direction == "<" else b""
        if "-C" in words:  # a volume is there as soon as its container is
            place = team.here([words[words.index("-C") + 1]])[0]
            Path(place).mkdir(parents=True, exist_ok=True)
        printed = team.pipe(service, words, said)
        if direction == ">":
            (team.folder / file).write_bytes(printed)


def in_container(words: list[str], services: set[str]) -> tuple[str, list[str]]:
    """The service of `docker compose exec` or `run`, and what is run in it."""
    entrypoint: list[str] = []
    while words[0].startswith("-"):
        option = words.pop(0)
        value = words.pop(0) if option in OPTIONS_WITH_A_VALUE else ""
        entrypoint = [value] if option == "--entrypoint" else entrypoint
    service, *command = words
    assert service in services
    return service, [*entrypoint, *command]


def opened(team: Topology) -> Store:
    env = team.environment("worker")
    url = env["HERO_DATABASE_URL"].replace("@", f":{env['PGPASSWORD']}@")
    return Store.open(Settings(database_url=url))


def log_in(team: Topology) -> Member:
    return Member.log_in(
        team.url("8080"), team.env["LABEL_STUDIO_USERNAME"], team.env["LABEL_STUDIO_PASSWORD"]
    )
