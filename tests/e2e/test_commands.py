"""Every command of the README, against a real Label Studio, the web server and the worker."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from typer.testing import CliRunner

from backend import cli
from backend.label_studio.browser_session import Member
from backend.local import processes
from backend.local.stack import Stack
from backend.store import Store
from backend.tasks.label_config import template, verdict_control
from backend.worker import liveness
from tests.hero_engine.tiny import save_pipeline

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

CONTROL = verdict_control(template())


@pytest.fixture(scope="module")
def service(label_studio, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """`hero up` beside a Label Studio that was there already."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        home = label_studio.root / "commands-test"
        model = save_pipeline(tmp_path_factory.mktemp("model"))
        for name, value in {
            "HERO_HOME": home,
            "HERO_PORT": processes.free_port(),
            "HERO_MODEL": model,
            "HERO_LOCAL_FILES_ROOT": label_studio.root,
            "LABEL_STUDIO_URL": label_studio.url,
            "LABEL_STUDIO_API_KEY": label_studio.token,
            "COLUMNS": "200",
        }.items():
            monkeypatch.setenv(name, str(value))
        with Stack() as stack:
            store = Store.open(stack.settings)
            member = Member.log_in(label_studio.url, label_studio.email, label_studio.password)
            yield SimpleNamespace(stack=stack, store=store, member=member, home=home)
            member.close()
            store.close()


def hero(*arguments: object) -> str:
    answer = CliRunner().invoke(cli.app, [str(item) for item in arguments])
    assert answer.exit_code == 0, answer.output
    return answer.output


def _eventually(condition, seconds: float = 120) -> None:
    assert processes.wait_until(condition, seconds=seconds, alive=lambda: True)


def test_doctor_finds_nothing_amiss(service):
    _eventually(lambda: liveness.is_alive(service.stack.settings))
    said = hero("doctor")
    assert "All is well" in said
    assert "FAIL" not in said
    for check in ("worker", "annotators", "keyboard", "webhook round trip"):
        assert re.search(rf"^ok +{check}", said, re.MULTILINE)
    assert not (service.home / "images" / "hero-doctor").exists()
    projects = service.member.http.get("/api/projects").json()["results"]
    assert [project for project in projects if "doctor" in project["title"]] == []
    people = service.member.http.get("/api/users").json()
    assert [person for person in people if "doctor" in person["email"]] == []


def test_doctor_says_what_to_do(service, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    monkeypatch.setenv("HERO_PORT", str(processes.free_port()))
    monkeypatch.setenv("HERO_MODEL", "/no/such/model")
    answer = CliRunner().invoke(cli.app, ["doctor"])
    assert answer.exit_code == 1
    failed = re.findall(r"^FAIL (\S+)", answer.output, re.MULTILINE)
    assert failed == ["model", "backend", "Label"]
    assert "LABEL_STUDIO_API_KEY" in answer.output
    assert "hero up" in answer.output


def test_a_run_by_its_commands(service, tmp_path: Path):
    store, member = service.store, service.member
    said = hero(
        "start", "--prompt", "one rose", "--images", 4, "--epochs", 2, "--steps", 3,
        "--trained-steps", 2, "--set", "embedding_steps=3", "--title", "commands",
    )  # fmt: skip
    (run,) = store.runs()
    assert run.id in said
    assert "8 labels in all" in said
    assert run.project_url in said

    hero("pause", run.id)
    hero("resume", run.id.split("-")[0])
    _eventually(lambda: store.run(run.id).state == "labelling")
    assert "0/4" in hero("status")

    for verdict in ("good", "bad"):
        task = member.next_task(store.run(run.id).project_id)
        member.annotate(task["id"], [CONTROL.result(verdict)], lead_time=1.0)
    assert "learns from 2 of 4 labels of epoch 1" in hero("advance", run.id)
    _eventually(lambda: store.run(run.id).epoch == 1)
    assert [image.verdict for image in store.images(run.id, 0)] == ["good", "bad", None, None]
    assert "50%" in hero("status", run.id)

    drawn = tmp_path / "drawn"
    hero("generate", run.id, "-n", 2, "--noise", "bank", "--out", tmp_path / "of the bank")
    hero("generate", run.id, "-n", 2, "--scheduler", "dpm++", "--prompt", "a cup", "--out", drawn)
    assert {path.name for path in drawn.iterdir()} == {"0000.png", "0001.png", "grid.png"}
    assert Image.open(drawn / "grid.png").width > 200

    made = re.search(r"Wrote (\S+)", hero("export", run.id, "--what", "lora"))
    assert made is not None
    assert Path(made.group(1)).name == f"{run.id}-lora.safetensors"
    assert Path(made.group(1)).stat().st_size > 100

    assert "stopped" in hero("stop", run.id)
    assert "stopped" in hero("watch", run.id)


def test_whom_to_send_the_way_in(service, label_studio):
    said = hero("invite", "new@example.com", label_studio.email)
    assert f"{label_studio.email} is a member already" in said
    assert f"{label_studio.url}{label_studio.invitation()}" in said
    assert "Send this link" not in hero("invite", label_studio.email)


def test_a_second_up_on_the_same_home_is_refused(service):
    answer = CliRunner().invoke(cli.app, ["up"])
    assert answer.exit_code == 2
    assert "already running" in answer.output
