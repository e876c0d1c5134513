"""The team's deployment, as far as it can be checked without a container engine."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import podman_compose
import pytest
import yaml
from dotenv import dotenv_values

from backend.local.label_studio_server import IN_LABEL_STUDIO, Account, environment
from backend.settings import LABEL_STUDIO_VERSION
from tests.compose import BY_HAND, COMPOSE, EXAMPLE, GPU, ROOT, filled_env, parsed

REQUIRED = sorted(set(re.findall(r"\$\{(\w+):\?", (ROOT / COMPOSE).read_text())))
SECRETS = sorted(set(REQUIRED) - BY_HAND.keys())


@pytest.fixture(scope="module")
def services(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("compose")
    filled_env(folder)
    return parsed(folder, COMPOSE)["services"]


def test_every_service_has_a_health_check_and_comes_up_again(services):
    assert set(services) == {"db", "label-studio", "backend", "worker"}
    for service in services.values():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


def test_the_gpu_is_the_workers(tmp_path: Path):
    filled_env(tmp_path)
    services = parsed(tmp_path, COMPOSE, GPU)["services"]
    (device,) = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert [name for name, service in services.items() if "deploy" in service] == ["worker"]
    assert services["worker"]["healthcheck"], "the override adds to what is there"


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", REQUIRED)
def test_nothing_starts_while_a_secret_is_missing(name, value):
    content = yaml.safe_load((ROOT / COMPOSE).read_text())
    env = dict.fromkeys(REQUIRED, "x")
    assert podman_compose.rec_subs(content, env)
    env[name] = value
    with pytest.raises(ValueError, match=f"{name}.*fill in .env"):
        podman_compose.rec_subs(content, {k: v for k, v in env.items() if v is not None})


def test_the_example_opens_no_door(tmp_path: Path):
    example = dotenv_values(ROOT / EXAMPLE)
    assert [name for name in REQUIRED if example[name]] == []
    filled = dotenv_values(filled_env(tmp_path))
    assert all(re.fullmatch("[0-9a-f]{40}", filled[name] or "") for name in SECRETS)
    assert len({filled[name] for name in SECRETS}) == len(SECRETS)
    used = set(re.findall(r"\$\{(\w+)", (ROOT / COMPOSE).read_text()))
    assert used == set(example)


def test_only_label_studio_and_the_run_pages_are_published_and_these_to_this_machine(services):
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports == {"label-studio": ["0.0.0.0:8080:8080"], "backend": ["127.0.0.1:9090:9090"]}


def test_label_studio_is_switched_as_the_one_that_hero_up_starts(services, tmp_path: Path):
    service = services["label-studio"]
    assert service["image"].endswith(f":{LABEL_STUDIO_VERSION}")
    account = Account("a", "b", "c", 1)
    ours = environment(account, data=tmp_path, files_root=tmp_path)
    here = service["environment"]
    own = {"LABEL_STUDIO_BASE_DATA_DIR", "LABEL_STUDIO_HOST", "LABEL_STUDIO_USERNAME"}
    own |= {
        "LABEL_STUDIO_PASSWORD",
        "LABEL_STUDIO_USER_TOKEN",
        "LOCAL_FILES_DOCUMENT_ROOT",
        "PYTHONPATH",
    }
    same = (set(here) & set(ours)) - own - {"DJANGO_DB"}
    assert len(same) >= 10
    assert {name: yaml.safe_load(here[name]) for name in same} == {
        name: yaml.safe_load(ours[name]) for name in same
    }
    added = f"./{IN_LABEL_STUDIO.relative_to(ROOT)}:{here['PYTHONPATH']}:ro"
    assert added in service["volumes"]


def test_the_webhooks_host_has_a_dot_and_is_the_backend(services):
    host = re.fullmatch(r"http://(.+):9090", services["worker"]["environment"]["HERO_URL"])
    assert host is not None
    assert "." in host.group(1)
    assert services["backend"]["networks"]["default"]["aliases"] == [host.group(1)]


def test_containers_are_told_to_end_and_have_time_for_it(services):
    for service in services.values():
        assert service["init"] is True
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert services["worker"]["stop_grace_period"] == services["db"]["stop_grace_period"] == "60s"


def test_first_starts_are_not_failures(services):
    check = services["db"]["healthcheck"]["test"]
    assert check[check.index("--host") + 1] == "127.0.0.1", "the socket answers during initdb too"
    assert all(service["healthcheck"]["start_period"] for service in services.values())
    assert services["backend"]["healthcheck"]["test"][-1].endswith("/ready')")


@pytest.fixture
def dockerfile() -> list[str]:
    return (ROOT / "Dockerfile").read_text().splitlines()


def test_the_image_installs_what_the_project_needs(dockerfile: list[str], tmp_path: Path):
    (make_list,) = [line for line in dockerfile if line.startswith("RUN python -c")]
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["sh", "-c", make_list.removeprefix("RUN ")]
    subprocess.run(command, cwd=tmp_path, env=env, check=True)
    listed = (tmp_path / "requirements.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert listed == project["dependencies"] + project["optional-dependencies"]["postgres"]
    (install,) = [line for line in dockerfile if "--requirement requirements.txt" in line]
    assert "--constraint constraints.txt" in install


def test_the_image_has_the_code_once_and_after_what_it_needs(dockerfile: list[str]):
    copied = [line.split()[1:-1] for line in dockerfile if line.startswith("COPY ")]
    assert copied == [
        ["pyproject.toml"],
        ["constraints.txt"],
        ["--from=requirements", "requirements.txt"],
    ]
    (needed,) = [n for n, line in enumerate(dockerfile) if "--requirement" in line]
    (own,) = [n for n, line in enumerate(dockerfile) if "pip install --no-deps /source" in line]
    assert needed < own
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {"backend", "hero_engine", "tinyworld", "README.md"} & set(ignored)
