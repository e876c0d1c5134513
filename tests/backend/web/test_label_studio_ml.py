"""The public rules of label-studio-ml 2.x for any backend: ours keeps them by itself, under the
package's server, and under the package itself where it is installed."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.run.records import Run
from backend.settings import Settings
from backend.store import Store
from backend.tasks.label_config import template
from backend.web import app as native
from tests.backend.conftest import CONFIG
from tests.backend.web import label_studio_ml_server
from tests.backend.web.knocking import SECRET, basic

ADAPTER = "backend.web.label_studio_ml_adapter"
PROJECT = "7.1795403510"


@pytest.fixture
def run(store: Store) -> Run:
    store.create_run(CONFIG, project_id=7)
    claim = store.claim("worker", 60)
    assert claim is not None
    run = store.batch_written(claim, ["0.png", "1.png"], [0.9, 0.1], 1.0)
    return store.published(replace(claim, run=run), {0: 100, 1: 101}, 1.0)


def served(
    how: str, settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Flask:
    if how == "by itself":
        return native.create_app(settings, store)
    for name in [each for each in sys.modules if each.split(".")[0] == "label_studio_ml"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, ADAPTER, raising=False)
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))  # the package's cache
    if how == "under its server":
        for name, module in label_studio_ml_server.modules().items():
            monkeypatch.setitem(sys.modules, name, module)
    app = importlib.import_module(ADAPTER).create_app(settings, store)
    monkeypatch.delitem(sys.modules, ADAPTER)
    return app


WAYS = ["by itself", "under its server"]
if importlib.util.find_spec("label_studio_ml"):
    WAYS.append("under the package")


@pytest.fixture(params=WAYS)
def app(
    request: pytest.FixtureRequest,
    settings: Settings,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Flask:
    return served(request.param, settings, store, tmp_path, monkeypatch)


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def event(action: str = "ANNOTATION_CREATED", **fields: Any) -> dict[str, Any]:
    return {
        "action": action,
        "project": {"id": 7, "label_config": template()},
        "task": {"id": 100, "data": {}},
        "annotation": {"id": 5, "result": []},
        **fields,
    }


def test_health(client: FlaskClient):
    for path in ("/", "/health"):
        answer = client.get(path, headers=basic())
        assert answer.status_code == 200
        said = answer.get_json()
        assert said["status"] == "UP" and said["model_class"].startswith("Hero")


def test_metrics(client: FlaskClient):
    assert client.get("/metrics", headers=basic()).status_code == 200


@pytest.mark.parametrize("extra", [{}, {"extra_params": '{"a": 1}'}])
def test_setup(client: FlaskClient, run: Run, extra: dict[str, Any]):
    body = {
        "project": PROJECT,
        "schema": template(),
        "hostname": "http://localhost:8080",
        "access_token": "1" * 40,
        **extra,
    }
    answer = client.post("/setup", json=body, headers=basic())
    assert answer.status_code == 200
    assert answer.get_json() == {"model_version": f"{run.id}-epoch-0"}


def test_setup_of_a_project_that_is_nobodys(client: FlaskClient):
    body = {"project": "1.1000000000", "schema": "<View></View>", "extra_params": {}}
    assert client.post("/setup", json=body, headers=basic()).status_code == 200


@pytest.mark.parametrize("listed", [True, False])
def test_predict(client: FlaskClient, run: Run, listed: bool):
    task = {"id": 100, "data": {"hero_image_id": f"{run.id}/0/0000"}}
    body = {
        "tasks": [task] if listed else task,
        "project": PROJECT,
        "label_config": template(),
        "params": {"login": None, "password": None, "context": {}},
    }
    answer = client.post("/predict", json=body, headers=basic())
    assert answer.status_code == 200
    [result] = answer.get_json()["results"]
    assert result["score"] == 0.9 and result["model_version"] == f"{run.id}-epoch-0"
    assert {"from_name", "to_name", "type", "value"} <= result["result"][0].keys()


def test_predict_for_a_project_that_is_nobodys(client: FlaskClient):
    body = {"tasks": {"id": 1}, "label_config": "<View></View>", "project": "1.1000000000"}
    answer = client.post("/predict", json={**body, "params": {"context": {}}}, headers=basic())
    assert (answer.status_code, len(answer.get_json()["results"])) == (200, 1)


@pytest.mark.parametrize("action", ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "START_TRAINING"])
def test_an_event_is_taken(client: FlaskClient, store: Store, run: Run, action: str):
    store.take_due(30)
    answer = client.post("/webhook", json=event(action), headers=basic())
    assert answer.status_code == 201
    [(due, [hint])] = store.take_due(30, hint_seconds=0)
    assert (due.id, hint.action) == (run.id, action)


def test_an_unknown_event_is_none(client: FlaskClient, store: Store, run: Run):
    store.take_due(30)
    answer = client.post("/webhook", json=event("PROJECT_UPDATED"), headers=basic())
    assert answer.status_code == 200
    assert store.take_due(30, hint_seconds=0) == []


def test_the_secret_of_our_webhooks_lets_in(client: FlaskClient, store: Store, run: Run):
    store.take_due(30)
    start = event("START_TRAINING")
    assert client.post("/webhook", json=start, headers=SECRET).status_code == 401
    assert store.take_due(30, hint_seconds=0) == []
    assert client.post("/webhook", json=event(), headers=SECRET).status_code == 201
    assert len(store.take_due(30, hint_seconds=0)) == 1


@pytest.mark.parametrize("headers", [{}, basic(password="wrong"), {"X-Hero-Secret": "wrong"}])
def test_nobody_else_is_let_in(
    client: FlaskClient, store: Store, run: Run, headers: dict[str, str]
):
    store.take_due(30)
    answer = client.post("/webhook", json=event(), headers=headers)
    assert answer.status_code == 401
    assert store.take_due(30, hint_seconds=0) == []
    for path in ("/setup", "/predict"):
        assert client.post(path, json={"project": PROJECT}, headers=headers).status_code == 401
    assert client.post("/setup", json={"project": PROJECT}, headers=SECRET).status_code == 401


def test_who_guesses_is_slowed_down(client: FlaskClient):
    found = [client.get("/metrics", headers=basic(password=str(n))) for n in range(20)]
    assert {each.status_code for each in found[:10]} == {401}
    assert found[-1].status_code == 429


def test_an_event_of_a_project_without_a_run(client: FlaskClient):
    body = event(project={"id": 1, "label_config": "<View></View>"})
    answer = client.post("/webhook", json=body, headers=basic())
    assert (answer.status_code, answer.get_json()["type"]) == (404, "RunNotFound")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000])
def test_broken_json_is_the_senders_fault(client: FlaskClient, body: bytes):
    answer = client.post("/webhook", data=body, headers=basic(), content_type="application/json")
    assert answer.status_code == 400


def test_no_request_opens_anything(client: FlaskClient, run: Run):
    process = psutil.Process(os.getpid())
    body = {"project": PROJECT, "schema": template()}
    assert client.post("/setup", json=body, headers=basic()).status_code == 200
    before = process.num_fds()
    for _ in range(100):
        client.post("/setup", json=body, headers=basic())
        client.post("/webhook", json=event(), headers=SECRET)
    assert process.num_fds() <= before + 2
