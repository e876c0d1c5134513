"""The web process, as Label Studio 1.23.2 speaks to it."""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from itsdangerous import Signer
from pydantic import SecretStr

from backend.dashboard.access import COOKIE, new_cookie
from backend.errors import DatabaseUnavailable
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from backend.tasks.images import gallery_key, image_key, image_url
from backend.tasks.label_config import template
from backend.web import readiness
from backend.web.app import create_app
from tests.backend.conftest import CONFIG, Clock
from tests.backend.web.knocking import JSON, SECRET, basic


@pytest.fixture
def client(settings: Settings, store: Store) -> Iterator[FlaskClient]:
    with create_app(settings, store).test_client() as client:
        yield client


@pytest.fixture
def run(store: Store) -> Run:
    store.create_run(CONFIG, project_id=7)
    claim = store.claim("worker", 60)
    assert claim is not None
    run = store.batch_written(claim, ["0.png", "1.png"], [0.9, 0.1], 1.0)
    return store.published(replace(claim, run=run), {0: 100, 1: 101}, 1.0)


def created(project: int = 7, task: int = 100) -> dict[str, Any]:
    return {
        "action": "ANNOTATION_CREATED",
        "annotation": {"id": 5, "result": [], "task": task, "project": project},
        "project": {"id": project, "task_data_login": None},
        "task": {"id": task, "data": {}},
    }


def predicted(store: Store, similarities: list[float], labelling: Labelling) -> Run:
    """A run in project 8 whose images the embedding has an opinion of."""
    config = {**CONFIG, "images_per_epoch": len(similarities)}
    run = store.create_run(config, project_id=8, labelling=labelling)
    claim = store.claim("predictions", 60)
    assert claim is not None and claim.run.id == run.id
    paths = [f"{index}.png" for index in range(len(similarities))]
    return store.batch_written(claim, paths, similarities, 1.0)


class TestProtocol:
    @pytest.mark.parametrize("path", ["/health", "/"])
    def test_health_needs_no_password(self, client: FlaskClient, path: str):
        assert client.get(path).get_json()["status"] == "UP"

    def test_ready_asks_the_database(
        self, client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        answers: list[Exception | None] = [DatabaseUnavailable("away"), None]

        def work_waits() -> bool:
            if error := answers.pop(0):
                raise error
            return False

        monkeypatch.setattr(store, "work_waits", work_waits)
        monkeypatch.setattr(readiness, "LASTS_SECONDS", -1.0)
        assert client.get("/ready").status_code == 503
        assert client.get("/ready").get_json() == {"status": "READY"}
        monkeypatch.setattr(readiness, "LASTS_SECONDS", 60.0)
        assert client.get("/ready").status_code == 200
        assert answers == []

    def test_setup_answers_the_models_version(self, client: FlaskClient, run: Run):
        body = {"project": "7.1795403510", "schema": template(), "access_token": "x"}
        answer = client.post("/setup", json=body, headers=basic())
        assert answer.get_json() == {"model_version": f"{run.id}-epoch-0"}

    def test_setup_of_a_project_without_a_run(self, client: FlaskClient):
        answer = client.post("/setup", json={"project": "3.1"}, headers=basic())
        assert answer.get_json() == {"model_version": "no-run"}

    def test_predictions_come_from_the_store(self, client: FlaskClient, run: Run):
        tasks = [
            {"id": 1, "data": {"hero_image_id": f"{run.id}/0/0000"}},
            {"id": 2, "data": {"hero_image_id": f"{run.id}/0/0001"}},
            {"id": 3, "data": {"hero_image_id": f"{run.id}/0/0099"}},
            {"id": 4, "data": {"hero_image_id": "other/0/0000"}},
            {"id": 5, "data": {}},
            {"id": 6},
        ]
        body = {"tasks": tasks, "project": "7.1", "label_config": template(), "params": None}
        results = client.post("/predict", json=body, headers=basic()).get_json()["results"]
        assert [result["score"] for result in results] == [0.9, 0.1, 0, 0, 0, 0]
        assert [len(result["result"]) for result in results] == [1, 1, 0, 0, 0, 0]
        assert results[0]["result"][0] == {
            "from_name": "verdict",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": ["best"]},
        }
        assert results[1]["result"][0]["value"] == {"choices": ["bad"]}
        assert {result["model_version"] for result in results} == {f"{run.id}-epoch-0"}

    def test_a_gallery_page_is_predicted_as_a_whole(self, client: FlaskClient, store: Store):
        run = predicted(store, [0.9, 0.1, 0.6], Labelling(layout="gallery"))
        options = [{"value": image_key(run.id, 0, index)} for index in (2, 0, 1)]
        data = {"hero_image_id": gallery_key(run.id, 0), "images": options}
        body = {"tasks": [{"data": data}], "project": "8.1", "label_config": template("gallery")}
        [page] = client.post("/predict", json=body, headers=basic()).get_json()["results"]
        assert page["score"] == pytest.approx(1.6 / 3)
        assert {item["from_name"]: item["value"]["choices"] for item in page["result"]} == {
            "good": [image_key(run.id, 0, 2), image_key(run.id, 0, 0)],
            "best": [image_key(run.id, 0, 0)],
        }

    def test_a_page_edited_under_us_is_told(self, client: FlaskClient, run: Run):
        body = {"tasks": [{"data": {}}], "project": "7.1", "label_config": "<View/>"}
        answer = client.post("/predict", json=body, headers=basic())
        assert answer.status_code == 502
        assert "put it back" in answer.get_json()["error"]

    def test_predicting_many_tasks_asks_the_database_no_oftener(
        self, client: FlaskClient, store: Store
    ):
        run = predicted(store, [index / 64 for index in range(64)], Labelling())
        keys = [image_key(run.id, 0, index) for index in range(64)]
        tasks = [{"data": {"hero_image_id": key}} for key in keys]
        asked: list[str] = []
        sa.event.listen(
            store._engine, "before_cursor_execute", lambda *call: asked.append(str(call[2]))
        )
        counts = []
        for some in (tasks[:1], tasks):
            asked.clear()
            body = {"tasks": some, "project": "8.1", "label_config": template()}
            answer = client.post("/predict", json=body, headers=basic()).get_json()
            assert len(answer["results"]) == len(some)
            counts.append(len(asked))
        assert counts[0] == counts[1]

    @pytest.mark.parametrize("body", [{}, {"tasks": "all"}, {"tasks": [1]}])
    def test_predict_without_tasks(self, client: FlaskClient, body: dict[str, Any]):
        answer = client.post("/predict", json=body, headers=basic())
        assert answer.status_code == 400
        assert "send `tasks`" in answer.get_json()["error"]

    def test_versions(self, client: FlaskClient, run: Run):
        answer = client.get("/versions", headers=basic())
        assert answer.get_json() == {"versions": [f"{run.id}-epoch-0"]}

    def test_metrics(self, client: FlaskClient, run: Run):
        client.post("/webhook", json=created(), headers=SECRET)
        text = client.get("/metrics", headers=basic()).get_data(as_text=True)
        assert 'hero_runs{state="labelling"} 1.0' in text
        assert 'hero_webhooks_total{action="ANNOTATION_CREATED"} 1.0' in text
        assert 'hero_requests_total{endpoint="webhook",status="201"} 1.0' in text

    @pytest.mark.parametrize(
        ("method", "path"),
        [("post", "/setup"), ("post", "/predict"), ("get", "/versions"), ("get", "/metrics")],
    )
    @pytest.mark.parametrize(
        "headers", [{}, basic(password="wrong"), basic(user="wrong"), SECRET, basic("", "")]
    )
    def test_a_password_is_needed(
        self, client: FlaskClient, method: str, path: str, headers: dict[str, str]
    ):
        answer = getattr(client, method)(path, headers=headers)
        assert answer.status_code == 401
        assert "BASIC_AUTH_PASS" in answer.get_json()["error"]
        assert answer.headers["WWW-Authenticate"].startswith("Basic")

    def test_an_unknown_path(self, client: FlaskClient):
        answer = client.get("/nowhere", headers=basic())
        assert answer.status_code == 404
        assert answer.get_json()["error"]


class TestWebhook:
    @pytest.mark.parametrize("headers", [SECRET, basic()])
    def test_it_records_and_wakes(
        self, client: FlaskClient, store: Store, run: Run, headers: dict[str, str]
    ):
        store.take_due(30)
        answer = client.post("/webhook", json=created(), headers=headers)
        assert answer.get_json() == {"status": "noted", "run": run.id}
        [(due, [hint])] = store.take_due(30, hint_seconds=0)
        assert (due.id, hint.epoch, hint.action) == (run.id, 0, "ANNOTATION_CREATED")
        assert store.run(run.id).state is State.labelling

    def test_a_deletion_names_only_annotations(self, client: FlaskClient, store: Store, run: Run):
        body = {
            "action": "ANNOTATIONS_DELETED",
            "annotations": [{"id": 10}],
            "project": {"id": 7},
        }
        assert client.post("/webhook", json=body, headers=SECRET).status_code == 201
        [(_, [hint])] = store.take_due(30)
        assert hint.action == "ANNOTATIONS_DELETED"

    @pytest.mark.parametrize(
        "headers",
        [{}, {"X-Hero-Secret": "wrong"}, {"X-Hero-Secret": ""}, basic(password="wrong")],
    )
    def test_without_the_secret(
        self, client: FlaskClient, store: Store, run: Run, headers: dict[str, str]
    ):
        store.take_due(30)
        answer = client.post("/webhook", json=created(), headers=headers)
        assert answer.status_code == 401
        assert "X-Hero-Secret" in answer.get_json()["error"]
        assert store.take_due(30, hint_seconds=0) == []

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"action": 3}', b"{}"]
    )
    def test_broken_json(self, client: FlaskClient, body: bytes):
        answer = client.post("/webhook", data=body, headers=SECRET, content_type=JSON)
        assert answer.status_code == 400
        assert answer.get_json()["type"] == "BadWebhook"

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
    @pytest.mark.parametrize("headers", [SECRET, basic()])
    def test_only_json_changes_something(
        self, client: FlaskClient, store: Store, run: Run, kind: str, headers: dict[str, str]
    ):
        store.take_due(30)
        body = json.dumps({"action": "START_TRAINING", "project": {"id": 7}})
        answer = client.post("/webhook", data=body, headers=headers, content_type=kind)
        assert answer.status_code == 415
        assert store.take_due(30, hint_seconds=0) == []

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_a_page_of_another_site_changes_nothing(
        self, client: FlaskClient, store: Store, run: Run, site: str
    ):
        store.take_due(30)
        headers = {**basic(), "Sec-Fetch-Site": site}
        answer = client.post("/webhook", json=created(), headers=headers)
        assert answer.status_code == 403
        assert store.take_due(30, hint_seconds=0) == []

    @pytest.mark.parametrize("project", [None, "7", [], {"id": "7"}, {}, True])
    def test_without_a_project(self, client: FlaskClient, project: Any):
        body = {"action": "ANNOTATION_CREATED", "project": project}
        answer = client.post("/webhook", json=body, headers=SECRET)
        assert answer.status_code == 400
        assert "Send payload" in answer.get_json()["error"]

    def test_of_an_unknown_run(self, client: FlaskClient):
        answer = client.post("/webhook", json=created(project=99), headers=SECRET)
        assert answer.status_code == 404
        assert "project 99" in answer.get_json()["error"]

    def test_strange_parts_do_no_harm(self, client: FlaskClient, run: Run):
        body = {"action": "ANNOTATION_CREATED", "project": {"id": 7}, "task": 3, "annotation": []}
        assert client.post("/webhook", json=body, headers=SECRET).status_code == 201

    def test_other_actions_are_ignored(self, client: FlaskClient, store: Store, run: Run):
        store.take_due(30)
        body = {"action": "PROJECT_UPDATED", "project": {"id": 7}}
        assert client.post("/webhook", json=body, headers=SECRET).get_json()["status"] == "ignored"
        assert store.take_due(30, hint_seconds=0) == []

    def test_start_training_takes_the_password(self, client: FlaskClient, store: Store, run: Run):
        body = {"action": "START_TRAINING", "project": {"id": 7}}
        assert client.post("/webhook", json=body, headers=SECRET).status_code == 401
        assert client.post("/webhook", json=body, headers=basic()).status_code == 201
        [(_, [hint])] = store.take_due(30)
        assert hint.action == "START_TRAINING"

    def test_of_a_paused_run(self, client: FlaskClient, store: Store, run: Run):
        store.transition(run.id, Event.pause)
        assert client.post("/webhook", json=created(), headers=SECRET).status_code == 201
        assert store.run(run.id).state is State.paused

    def test_secrets_are_not_logged(
        self, client: FlaskClient, run: Run, caplog: pytest.LogCaptureFixture
    ):
        with caplog.at_level(logging.DEBUG):
            client.post("/webhook", json=created(), headers={**SECRET, **basic()})
            client.post("/webhook", json=created(), headers={"X-Hero-Secret": "guess-1"})
            client.post("/setup", json={"access_token": "token-1"}, headers=basic())
        log = caplog.text
        for secret in ("the secret", "open sesame", "token-1", "guess-1"):
            assert secret not in log


class TestHugeAndStrange:
    """Each of these was a 500."""

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"[" * 100_000 + b"]" * 100_000, 400),
            (b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", 400),
            (b'{"project": {"id": 18446744073709551616}}', 400),
            (b'{"project": ' + b"9" * 5000 + b"}", 400),
            (b'{"a": 1e999}', 400),
            (b'{"a": NaN}', 400),
            (b'{"a": "\\u0000"}', 400),
            (b'{"\\ud800": 1}', 400),
            (b'{"annotations": [' + b'{"id": 1},' * 299_999 + b'{"id": 1}]}', 413),
            (b'{"annotations": [' + b"1," * 20_000 + b"1]}", 413),
            (b'{"a": "' + b"x" * 2**22 + b'"}', 413),
        ],
    )
    @pytest.mark.parametrize("path", ["/webhook", "/predict", "/setup"])
    def test_it_is_refused(
        self, client: FlaskClient, run: Run, path: str, body: bytes, status: int
    ):
        answer = client.post(path, data=body, headers=basic(), content_type=JSON)
        assert answer.status_code == status
        assert answer.get_json()["error"]

    @pytest.mark.parametrize("project", ["²", "٣", "1" * 30, "1" * 5000, [7], {"id": 7}, -1])
    def test_a_project_that_is_none(self, client: FlaskClient, project: Any):
        answer = client.post("/setup", json={"project": project}, headers=basic())
        assert answer.get_json() == {"model_version": "no-run"}

    @pytest.mark.parametrize("part", ["params", "label_config", "project", "context"])
    @pytest.mark.parametrize("value", [[1], "x", 1, {"a": []}, None])
    def test_parts_of_another_kind(self, client: FlaskClient, run: Run, part: str, value: Any):
        tasks = [{"data": value}, {"data": {"hero_image_id": value, "images": value}}]
        body = {"tasks": tasks, "project": "7.1", part: value}
        answer = client.post("/predict", json=body, headers=basic())
        assert answer.status_code in (200, 502)  # 502: a label config that is no XML

    def test_xml_that_grows_without_end(self, client: FlaskClient, run: Run):
        laughs = "".join(
            f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha" * 100}">' for n in range(12)
        )
        for page in (
            f"<!DOCTYPE x [{laughs}]><View>&l11;</View>",
            '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><View>&f;</View>',
            "<View>" * 20_000,
        ):
            body = {"tasks": [{"data": {}}], "project": "7.1", "label_config": page}
            answer = client.post("/predict", json=body, headers=basic())
            assert answer.status_code == 502
            assert "root:" not in answer.get_data(as_text=True)

    @pytest.mark.parametrize("number", ["²", "9" * 20, "9" * 5000, "-1", "%00"])
    @pytest.mark.parametrize(
        "path", ["epochs/{}", "epochs/{}/images/0", "epochs/1/images/{}", "samples/{}/0"]
    )
    def test_numbers_in_paths(
        self, settings: Settings, client: FlaskClient, run: Run, path: str, number: str
    ):
        client.set_cookie(COOKIE, new_cookie(settings))
        answer = client.get(f"/runs/{run.id}/{path.format(number)}")
        assert 400 <= answer.status_code < 500

    def test_what_label_studio_sends_fits(self, client: FlaskClient, store: Store):
        """Thirty pages of 64 images."""
        run = predicted(store, [0.5] * 64, Labelling(layout="gallery"))
        options = [{"value": image_key(run.id, 0, index), "html": "x" * 500} for index in range(64)]
        page = {"data": {"hero_image_id": gallery_key(run.id, 0), "images": options}}
        body = {"tasks": [page] * 30, "project": "8.1", "label_config": template("gallery")}
        answer = client.post("/predict", json=body, headers=basic())
        assert len(answer.get_json()["results"]) == 30


class TestGuessing:
    def test_wrong_passwords_are_slowed_down(self, client: FlaskClient):
        guesses = [client.get("/metrics", headers=basic(password=f"{n}")) for n in range(200)]
        assert sum(answer.status_code == 401 for answer in guesses) < 20
        assert guesses[-1].status_code == 429
        assert client.get("/metrics", headers=basic()).status_code == 429
        elsewhere = {"REMOTE_ADDR": "10.0.0.7"}
        assert client.get("/metrics", headers=basic(), environ_base=elsewhere).status_code == 200

    def test_wrong_secrets_too_and_the_right_one_arrives(self, client: FlaskClient, run: Run):
        wrong = [
            client.post("/webhook", json=created(), headers={"X-Hero-Secret": f"{n}"})
            for n in range(30)
        ]
        assert (wrong[0].status_code, wrong[-1].status_code) == (401, 429)
        assert client.post("/webhook", json=created(), headers=SECRET).status_code == 201

    def test_who_shows_nothing_has_guessed_nothing(self, client: FlaskClient, run: Run):
        for _ in range(30):
            assert client.post("/webhook", json=created()).status_code == 401
        assert client.get("/metrics", headers=basic()).status_code == 200


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/metrics", "/nowhere", "/images/x", "/runs", "/login"]
)
def test_every_answer_has_the_headers(client: FlaskClient, path: str):
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] in ("no-referrer", "same-origin")


class TestImages:
    @pytest.fixture
    def signed(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"image_store": "signed-urls"})

    @pytest.fixture
    def url(self, signed: Settings) -> str:
        path = signed.images_dir / "rose/0000/0001.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"png bytes")
        (signed.home / "env").write_text("SECRET=1")
        return image_url(signed, "rose/0000/0001.png").removeprefix(signed.backend_url)

    def test_a_signed_address_needs_no_password(self, client: FlaskClient, url: str):
        answer = client.get(url)
        assert (answer.status_code, answer.data) == (200, b"png bytes")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.mimetype == "image/png"

    def test_it_is_kept_by_nobody_but_the_browser(self, client: FlaskClient, url: str):
        assert client.get(url).headers["Cache-Control"] == "private, max-age=86400"

    def test_an_address_of_an_earlier_version(
        self, settings: Settings, store: Store, run: Run, clock: Clock
    ):
        """Tasks stand in Label Studio for days: what was drawn before the upgrade stays seen."""
        path = f"{run.id}/0000/0001.png"
        file = settings.images_dir / path
        file.parent.mkdir(parents=True)
        file.write_bytes(b"png bytes")
        old = Signer("the secret", salt="image", digest_method=hashlib.sha256)
        address = f"/images/{path}?signature={old.get_signature(path).decode()}"
        drawn = store.epochs(run.id)[0].generated_at
        assert drawn is not None
        for seconds, status in ((60, 200), (-60, 401)):
            key = SecretStr(f"{int(drawn.timestamp()) + seconds}.a random key")
            upgraded = settings.model_copy(update={"image_key": key})
            client = create_app(upgraded, store).test_client()
            assert client.get(address).status_code == status
            other = address.replace("0001.png", "0000.png")
            assert client.get(other).status_code == 401
        assert create_app(settings, store).test_client().get(address).status_code == 401

    def test_it_is_fetched_once(self, client: FlaskClient, url: str):
        tag = client.get(url).headers["ETag"]
        assert client.get(url, headers={"If-None-Match": tag}).status_code == 304

    @pytest.mark.parametrize("change", ["0001.png", "signature=", "expires="])
    def test_a_changed_address_is_refused(self, client: FlaskClient, url: str, change: str):
        answer = client.get(url.replace(change, change[:-1] + "x"))
        assert answer.status_code == 401

    def test_other_files_are_never_served(self, signed: Settings, client: FlaskClient, url: str):
        for path in ("../env", "rose/../../env"):
            stolen = image_url(signed, path).removeprefix(signed.backend_url)
            assert client.get(stolen).status_code in (401, 404)

    def test_a_missing_image(self, signed: Settings, client: FlaskClient):
        url = image_url(signed, "rose/0000/0009.png").removeprefix(signed.backend_url)
        assert client.get(url).status_code == 404


def test_missing_secrets_are_made(tmp_path: Path):
    create_app(Settings(home=tmp_path))
    assert "HERO_WEBHOOK_SECRET" in (tmp_path / "env").read_text()


def test_a_bug_is_answered_without_its_details(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "hint", lambda *_, **__: 1 / 0)
    answer = client.post("/webhook", json=created(), headers=SECRET)
    assert answer.status_code == 500
    assert "division" not in answer.get_data(as_text=True)
