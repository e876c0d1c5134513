"""The files in `deploy/`, held against the rules of those who read them."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import sqlalchemy as sa
import yaml

from backend.run.states import State
from backend.settings import Settings
from backend.store import Store
from backend.store.tables import runs
from tests.backend.conftest import CONFIG
from tests.postgres import Postgres

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = "1.33"
WORKER_STEPS = (State.generating, State.learning)


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def of_kind(name: str, kind: str) -> dict[str, Any]:
    [found] = [each for each in documents(name) if each["kind"] == kind]
    return found


@pytest.mark.parametrize("kind", ["PersistentVolumeClaim", "Service", "Deployment"])
def test_kubernetes_takes_it(kind: str):
    kubernetes_validate.validate(of_kind("kubernetes.yaml", kind), KUBERNETES, strict=True)


def test_kubernetes_refuses_what_it_does_not_know():
    wrong = of_kind("kubernetes.yaml", "Deployment")
    wrong["spec"]["template"]["spec"]["containers"][0]["comand"] = ["hero", "serve"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_the_job_that_keda_starts_is_one():
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "hero-worker"},
        "spec": of_kind("keda.yaml", "ScaledJob")["spec"]["jobTargetRef"],
    }
    kubernetes_validate.validate(job, KUBERNETES, strict=True)


def test_shellcheck_finds_nothing():
    checked = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", DEPLOY / "slurm.sh"],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    "command",
    [
        of_kind("kubernetes.yaml", "Deployment")["spec"]["template"]["spec"]["containers"][0],
        of_kind("keda.yaml", "ScaledJob")["spec"]["jobTargetRef"]["template"]["spec"]["containers"][
            0
        ],
        {"command": (DEPLOY / "slurm.sh").read_text().split("\nhero ")[1].split(" &")[0].split()},
    ],
    ids=["serve", "keda", "slurm"],
)
def test_the_commands_are_ones_of_hero(command: dict[str, Any]):
    import typer.main

    from backend.cli import app

    name, *options = [word for word in command["command"] if word != "hero"]
    known = typer.main.get_command(app).commands[name]
    known.make_context(name, options)


@pytest.mark.postgres
@pytest.mark.slow
def test_keda_counts_the_runs_and_jobs_that_wait_for_a_worker(tmp_path: Path):
    query = of_kind("keda.yaml", "ScaledJob")["spec"]["triggers"][0]["metadata"]["query"]
    server = Postgres()
    try:
        url = server.new_database("keda")
        store = Store.open(Settings(home=tmp_path, database_url=url))
        made = [store.create_run(CONFIG, project_id=n) for n in range(1, 8)]
        now = store.now()
        columns: list[dict[str, Any]] = [
            {},
            {"state": State.learning},
            {"state": State.labelling},
            {"lease_until": now + timedelta(minutes=1)},
            {"lease_until": now - timedelta(minutes=1)},
            {"retry_at": now + timedelta(minutes=1), "postponed_at": now},
            {"retry_at": now + timedelta(hours=1), "postponed_at": now + timedelta(hours=1)},
        ]
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for run, changed in zip(made, columns, strict=True):
                if changed:
                    connection.execute(runs.update().where(runs.c.id == run.id).values(**changed))
        for seed in (1, 2):
            store.ask(made[2].id, "images", {"n": 1, "prompt": "a rose", "seed": seed})
        assert store.take_job("another", 60) is not None
        with engine.begin() as connection:
            counted = connection.scalar(sa.text(query))
        engine.dispose()
        taken = 0
        while store.claim("one", 60, WORKER_STEPS) is not None or store.take_job("one", 60):
            taken += 1
        assert counted == taken == 5
        store.close()
    finally:
        server.stop()
