"""The doctor's checks that need nothing but this machine; the others are tried for real in e2e."""

import base64
import json
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from backend.doctor import Finding, examine, machine, services, show
from backend.doctor.finding import Note, tried
from backend.errors import BadInput, HeroServiceError
from backend.label_studio import Server
from backend.worker import liveness
from tests.backend.fake_engine import FORECAST

HERE = Server("1.23.2", "owner@example.com")


def personal_token(**claims: object) -> str:
    parts = ({"alg": "HS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts]
    return ".".join([part.decode().rstrip("=") for part in encoded] + ["signature"])


def token_finding(settings, text: str) -> Finding:
    changed = type(settings)(**{**settings.model_dump(), "label_studio_api_key": text})
    return tried("token", lambda: services.token(changed, HERE))


def test_an_error_is_what_and_what_to_do():
    def fail() -> str:
        raise BadInput("It is broken; mend it; then rest.")

    assert tried("x", fail) == Finding("x", "FAIL", "It is broken", "Mend it; then rest.")


@pytest.mark.parametrize(
    ("levels", "last", "well"),
    [
        (["ok", "ok"], "All is well.", True),
        (["ok", "note"], "All is well, with a note.", True),
        (["FAIL", "note"], "marked FAIL", False),
    ],
)
def test_the_last_line_sums_up(levels, last, well):
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    findings = iter([Finding(f"check {level}", level, "detail", "advice") for level in levels])
    assert show(findings, console) is well
    assert last in console.export_text().splitlines()[-1]


def test_the_token_tells_its_kind_and_until_when_it_is_valid(settings):
    assert token_finding(settings, "0" * 40).detail == "legacy token of owner@example.com"
    far = datetime.now(UTC) + timedelta(days=90)
    lasting = token_finding(settings, personal_token(exp=far.timestamp()))
    assert (lasting.level, f"{far:%Y-%m-%d}" in lasting.detail) == ("ok", True)
    soon = datetime.now(UTC) + timedelta(days=3)
    ending = token_finding(settings, personal_token(exp=soon.timestamp()))
    assert (ending.level, "new one" in ending.advice) == ("note", True)
    for odd in (personal_token(), "a.b.c", personal_token(exp="never")):
        assert token_finding(settings, odd).level == "ok"


def test_another_version_is_a_note(settings):
    with pytest.raises(Note, match=r"1\.99.*not the 1\.23\.2"):
        services.label_studio(settings, Server("1.99", "owner@example.com"))


def test_links_that_only_containers_can_follow_are_a_note(settings):
    inner = settings.model_copy(update={"label_studio_url": "http://label-studio:8080"})
    with pytest.raises(Note, match="LABEL_STUDIO_PUBLIC_URL"):
        services.label_studio(inner, HERE)
    outer = inner.model_copy(update={"label_studio_public_url": "https://label.example.org"})
    assert services.label_studio(outer, HERE)


def test_images_that_cannot_be_written_are_a_line(settings):
    settings.home.mkdir(parents=True)
    settings.images_dir.write_text("a file where the folder should be")
    *_, last = examine(settings)
    assert (last.name, last.level) == ("home folder", "FAIL")
    assert f"{settings.images_dir} cannot be written" in last.detail


def test_a_worker_is_missed(settings):
    with pytest.raises(HeroServiceError, match="hero up"):
        services.worker(settings)
    liveness.beat(settings)
    assert "alive on" in services.worker(settings)
    (sign,) = (settings.home / "workers").iterdir()
    os.utime(sign, (time.time() - 1000,) * 2)
    with pytest.raises(HeroServiceError):
        services.worker(settings)


def test_a_home_that_cannot_be_written_ends_the_examination(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "gpu", lambda: "none")
    monkeypatch.setattr(machine, "model", lambda *_: "")
    (tmp_path / "file").write_text("")
    findings = list(examine(settings.model_copy(update={"home": tmp_path / "file" / "home"})))
    assert (findings[-1].name, findings[-1].level) == ("home folder", "FAIL")
    assert "HERO_HOME" in findings[-1].advice


def test_a_full_disk_is_told(settings, monkeypatch):
    monkeypatch.setattr(machine, "LEAST_FREE_GIGABYTES", 1e9)
    with pytest.raises(BadInput, match="free at least"):
        machine.disk(settings)


def test_the_database_and_its_migration(settings):
    assert machine.database(settings) == "sqlite, migration 0010, 0 runs"


def test_a_model_that_is_named_is_tried(settings, monkeypatch):
    asked = []

    def try_out(config):
        asked.append(config)
        return config, FORECAST

    monkeypatch.setattr("backend.engine.try_out", try_out)
    bf16 = settings.model_copy(update={"mixed_precision": "bf16"})
    assert machine.trial(bf16, "tiny", None) == (
        "about 6 min an epoch, 9.1 GB of 12 (hero, 64 images of 50 steps; 4 images and 20 latents "
        "at once)"
    )
    assert (asked[0].model.name, asked[0].model.mixed_precision) == ("tiny", "bf16")
    (settings.home / "workers").mkdir()
    (settings.home / "workers" / "gpu-server").touch()
    with pytest.raises(Note, match="the worker runs on gpu-server; ask again"):
        machine.trial(settings, "tiny", None)


def test_only_a_model_that_is_named_is_tried(settings, monkeypatch):
    monkeypatch.setattr(machine, "gpu", lambda: "none")
    monkeypatch.setattr(machine, "model", lambda *_: "there")
    monkeypatch.setattr(machine, "trial", lambda *_: "about 1 s an epoch")
    names = [finding.name for finding in examine(settings)]
    assert "trial" not in names
    assert [finding.name for finding in examine(settings, "tiny")] == [
        *names[:5], "trial", *names[5:],
    ]  # fmt: skip


def test_a_driver_without_a_torch_that_sees_it_is_a_note(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(machine.shutil, "which", lambda program: None)
    assert machine.gpu().startswith("none")
    monkeypatch.setattr(machine.shutil, "which", lambda program: "/usr/bin/nvidia-smi")
    with pytest.raises(Note, match="sees no GPU"):
        machine.gpu()
