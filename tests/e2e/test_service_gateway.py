"""The gateway against a real Label Studio: nothing twice, and a sentence for what goes wrong."""

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest

from backend.errors import (
    BackendUnreachable,
    HeroServiceError,
    ImageUnresolvable,
    LabelConfigUnusable,
    LabelStudioUnreachable,
    NotLabelStudio,
    PrivateAddressRefused,
    ProjectGone,
    SettingsInvalid,
    TokenRefused,
)
from backend.label_studio import Gateway, NewTask
from backend.label_studio.browser_session import Member
from backend.label_studio.webhook_contract import SECRET_HEADER
from backend.local.label_studio_server import LocalLabelStudio
from backend.local.processes import free_port, stop
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import State
from backend.settings import Settings
from backend.store import Store
from backend.tasks.label_config import template, verdict_control
from backend.tasks.predictions import Prediction
from backend.worker.lease import is_dead
from tests.backend.killed_worker import kill_at
from tests.e2e.service import Service

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


@pytest.fixture(scope="module")
def service(label_studio) -> Iterator[Service]:
    """Its web process runs, its worker does not."""
    service = Service(label_studio.root / "gateway", label_studio).start(worker=False)
    yield service
    service.stop()


@pytest.fixture
def gateway(service: Service) -> Gateway:
    return service.gateway


@pytest.fixture
def project_id(gateway: Gateway) -> Iterator[int]:
    project = gateway.ensure_project(Store.new_run_id("rose"), "one rose", "one rose")
    yield project.id
    with contextlib.suppress(HeroServiceError):
        gateway.delete_project(project.id)


def tasks(run_id: str, n: int = 4, epoch: int = 0) -> list[NewTask]:
    return [
        NewTask(
            {
                "image": f"/data/local-files/?d={index}.png",
                "prompt": "one rose",
                "criteria": "",
                "reference": "",
                "epoch": epoch,
                "index": index,
                "hero_image_id": f"{run_id}/{epoch}/{index:04d}",
            }
        )
        for index in range(n)
    ]


def page(run_id: str, n: int = 4) -> NewTask:
    """A gallery's only task."""
    keys = [f"{run_id}/0/{index:04d}" for index in range(n)]
    options = [{"value": key, "html": "<img src='/0.png'>"} for key in keys]
    data = {"images": options, "marks": options, "hero_image_id": f"{run_id}/0/gallery"}
    return NewTask({"prompt": "one rose", "criteria": "", "reference": "", **data}, "gallery")


def changed(service: Service, **fields: Any) -> Gateway:
    return Gateway(Settings.model_validate({**service.settings.model_dump(), **fields}))


class TestProjects:
    def test_it_is_made_once(self, gateway: Gateway):
        run_id = Store.new_run_id("rose")
        first = gateway.ensure_project(run_id, "x", "one rose")
        second = gateway.ensure_project(run_id, "another title", "one rose")
        assert (first.id, first.created, second.id, second.created) == (
            second.id,
            True,
            first.id,
            False,
        )
        gateway.delete_project(first.id)

    @pytest.mark.parametrize("title", ["x", "a rose " * 50, "Ünïcødé 🌹", "line\nbreak"])
    def test_any_title_will_do(self, service: Service, title: str):
        project = service.gateway.ensure_project(Store.new_run_id("rose"), title, "one rose")
        assert 3 <= len(service.sdk.projects.get(project.id).title) <= 50
        service.gateway.delete_project(project.id)

    def test_its_settings_suit_the_labelling(self, service: Service, project_id: int):
        project = service.sdk.projects.get(project_id)
        assert project.maximum_annotations == 1
        assert project.show_collab_predictions is False
        assert project.evaluate_predictions_automatically is False
        assert project.show_skip_button is False
        assert project.sampling == "Sequential sampling"

    def test_a_deleted_one(self, gateway: Gateway):
        project = gateway.ensure_project(Store.new_run_id("rose"), "one rose", "one rose")
        gateway.delete_project(project.id)
        for ask in (
            lambda: gateway.connect_images(project.id, "run"),
            lambda: gateway.connect_backend(project.id),
            lambda: gateway.labels(project.id, "run", 0),
            lambda: gateway.publish(project.id, "run", 0, tasks("run")),
        ):
            with pytest.raises(ProjectGone, match="hero resume"):
                ask()

    def test_a_page_without_our_control(self, service: Service, project_id: int):
        page = template().replace('value="best" alias="best"', 'value="top" alias="top"')
        service.sdk.projects.update(project_id, label_config=page)
        with pytest.raises(LabelConfigUnusable, match='<Choice value="best"/>'):
            service.gateway.connect_images(project_id, "run")


class TestConnections:
    def test_connecting_twice_makes_one_of_each(self, service: Service, project_id: int):
        for _ in range(2):
            service.gateway.connect_images(project_id, "run")
            service.gateway.connect_backend(project_id)
        [webhook] = service.sdk.webhooks.list(project=str(project_id))
        assert webhook.url == f"{service.settings.backend_url}/webhook"
        secret = service.settings.webhook_secret.get_secret_value()
        assert webhook.headers == {SECRET_HEADER: secret}
        [backend] = service.sdk.ml.list(project=project_id)
        assert (backend.url, backend.state) == (service.settings.backend_url, "CO")
        [storage] = service.sdk.import_storage.local.list(project=project_id)
        assert storage.path == str(service.settings.images_dir / "run")

    def test_a_webhook_without_the_secret_gets_it(self, service: Service, project_id: int):
        url = f"{service.settings.backend_url}/webhook"
        service.sdk.webhooks.create(project=project_id, url=url, send_for_all_actions=True)
        service.gateway.connect_backend(project_id)
        [webhook] = service.sdk.webhooks.list(project=str(project_id))
        assert SECRET_HEADER in webhook.headers and not webhook.send_for_all_actions

    def test_a_new_address_replaces_the_old(self, service: Service, project_id: int, label_studio):
        service.gateway.connect_backend(project_id)
        moved = Service(label_studio.root / "moved", label_studio).start(worker=False)
        try:
            moved.gateway.connect_backend(project_id)
            [webhook] = service.sdk.webhooks.list(project=str(project_id))
            assert webhook.url == f"{moved.settings.backend_url}/webhook"
            [backend] = service.sdk.ml.list(project=project_id)
            assert backend.url == moved.settings.backend_url
        finally:
            moved.stop()

    def test_a_backend_that_does_not_run(self, service: Service, project_id: int):
        nobody = changed(service, port=free_port())
        with pytest.raises(BackendUnreachable, match="HERO_URL"):
            nobody.connect_backend(project_id)

    def test_an_address_that_webhooks_cannot_have(self, service: Service, project_id: int):
        with pytest.raises(SettingsInvalid, match="without a dot"):
            changed(service, url="http://backend:9090").connect_backend(project_id)

    def test_images_out_of_label_studios_sight(
        self, service: Service, project_id: int, tmp_path: Path
    ):
        elsewhere = changed(service, home=tmp_path, local_files_root=tmp_path)
        with pytest.raises(ImageUnresolvable, match="LOCAL_FILES_DOCUMENT_ROOT"):
            elsewhere.connect_images(project_id, "run")

    def test_starting_without_a_backend_leaves_nothing(self, label_studio, tmp_path: Path):
        service = Service(label_studio.root / "alone", label_studio)
        before = {project.id for project in service.sdk.projects.list()}
        with pytest.raises(BackendUnreachable):
            service.start_run(tmp_path)
        assert {project.id for project in service.sdk.projects.list()} == before
        assert service.store.runs() == []
        service.store.close()


class TestTasks:
    def test_publishing_twice_makes_no_duplicate(self, service: Service, project_id: int):
        first = service.gateway.publish(project_id, "run", 0, tasks("run"))
        second = service.gateway.publish(project_id, "run", 0, tasks("run"))
        assert first == second and sorted(first) == [0, 1, 2, 3]
        assert len(list(service.sdk.tasks.list(project=project_id))) == 4

    def test_what_lacks_is_added(self, service: Service, project_id: int):
        some = service.gateway.publish(project_id, "run", 0, tasks("run", 2))
        every = service.gateway.publish(project_id, "run", 0, tasks("run", 4))
        assert {index: every[index] for index in some} == some

    def test_epochs_and_runs_are_kept_apart(self, gateway: Gateway, project_id: int):
        gateway.publish(project_id, "run", 1, tasks("run", 3, epoch=1))
        gateway.publish(project_id, "run", 11, tasks("run", 2, epoch=11))
        gateway.publish(project_id, "other-run", 1, tasks("other-run", 1, epoch=1))
        assert len(gateway.labels(project_id, "run", 1)) == 3
        assert gateway.labels(project_id, "run", 0) == []

    def test_an_import_that_came_twice_is_mended(self, service: Service, project_id: int):
        body = [{"data": dict(task.data)} for task in tasks("run")]
        for _ in range(2):
            service.sdk.projects.import_tasks(project_id, request=body)
        doubled = service.gateway.labels(project_id, "run", 0)
        labelled = max(task.task_id for task in doubled if task.indexes == (1,))
        service.annotate(labelled, "good")
        kept = service.gateway.publish(project_id, "run", 0, tasks("run"))
        assert len(service.gateway.labels(project_id, "run", 0)) == 4
        assert kept[1] == labelled

    def test_annotations_come_with_their_tasks(self, service: Service, project_id: int):
        ids = service.gateway.publish(project_id, "run", 0, tasks("run"))
        service.annotate(ids[0], "good")
        service.annotate(ids[0], "bad")
        service.annotate(ids[1], None, was_cancelled=True)
        labels = {task.indexes[0]: task for task in service.gateway.labels(project_id, "run", 0)}
        assert [len(labels[index].annotations) for index in range(4)] == [2, 1, 0, 0]
        assert labels[1].annotations[0]["was_cancelled"] is True
        person = labels[0].annotations[0]["completed_by"]
        assert service.gateway.emails()[person] == service.label_studio.email

    def test_a_prediction_goes_along(self, service: Service, project_id: int):
        [task] = tasks("run", 1)
        prediction = Prediction(0.75, {"run/0/0000": "good"}, "v1")
        predicted = NewTask(task.data, prediction=prediction)
        ids = service.gateway.publish(project_id, "run", 0, [predicted])
        [prediction] = service.sdk.predictions.list(task=ids[0])
        assert (prediction.score, prediction.model_version) == (0.75, "v1")
        assert prediction.result[0]["value"] == {"choices": ["good"]}
        assert prediction.result[0]["from_name"] == verdict_control(template()).from_name

    def test_people_get_the_tasks_in_the_order_of_their_import(
        self, service: Service, project_id: int, label_studio
    ):
        ordered = [tasks("run", 6)[index] for index in (4, 1, 5, 0, 3, 2)]
        service.gateway.publish(project_id, "run", 0, ordered)
        people = []
        for name in ("ann", "bob"):
            email = f"{name}-{project_id}@example.com"
            path = label_studio.invitation()
            people.append(Member.sign_up(label_studio.url, path, email, "in-order-12"))
        seen = []
        for turn in range(6):
            task = people[turn % 2].next_task(project_id)
            assert task is not None
            seen.append(task["data"]["index"])
            result = [verdict_control(template()).result("good")]
            people[turn % 2].annotate(task["id"], result, lead_time=1.0)
        for person in people:
            assert person.next_task(project_id) is None
            person.close()
        assert seen == [4, 1, 5, 0, 3, 2]

    def test_a_gallery_is_one_task_for_all_its_images(self, service: Service):
        run_id = Store.new_run_id("rose")
        plan = Labelling(layout="gallery", annotators_per_image=3)
        project = service.gateway.ensure_project(run_id, "one rose", "one rose", plan)
        assert service.sdk.projects.get(project.id).maximum_annotations == 3
        service.gateway.connect_images(project.id, run_id, "gallery")
        prediction = Prediction(0.4, {f"{run_id}/0/0002": "best", f"{run_id}/0/0001": "bad"}, "v1")
        body = {"data": dict(page(run_id).data)}
        for _ in range(2):
            service.sdk.projects.import_tasks(project.id, request=[body])
        for _ in range(2):
            new = replace(page(run_id), prediction=prediction)
            ids = service.gateway.publish(project.id, run_id, 0, [new])
        [labels] = service.gateway.labels(project.id, run_id, 0)
        assert ids == dict.fromkeys(range(4), labels.task_id)
        assert labels.indexes == (0, 1, 2, 3)

        other = replace(page("other"), prediction=prediction)
        [task_id] = set(service.gateway.publish(project.id, "other", 0, [other]).values())
        [pushed] = service.sdk.predictions.list(task=task_id)
        assert [item["from_name"] for item in pushed.result] == ["good", "best"]

        with pytest.raises(LabelConfigUnusable, match=r"label_config\.xml"):
            service.gateway.connect_images(project.id, run_id, "image")
        service.gateway.delete_project(project.id)

    def test_what_closed_epochs_leave_is_put_away_and_nothing_else(
        self, service: Service, project_id: int
    ):
        gateway = service.gateway
        closed = gateway.publish(project_id, "run", 0, tasks("run"))
        gateway.publish(project_id, "run", 1, tasks("run", 2, epoch=1))
        gateway.publish(project_id, "other-run", 0, tasks("other-run", 1))
        service.annotate(closed[0], "good")
        for _ in range(2):
            gateway.put_away(project_id, "run", 1)
            there = service.sdk.tasks.list(project=project_id)
            finished = {task.data["hero_image_id"] for task in there if task.is_labeled}
            assert finished == {f"run/0/{index:04d}" for index in range(4)}

    def test_a_gallery_page_that_some_have_labelled_is_put_away(
        self, service: Service, label_studio
    ):
        run_id = Store.new_run_id("rose")
        plan = Labelling(layout="gallery", annotators_per_image=3)
        project = service.gateway.ensure_project(run_id, "one rose", "one rose", plan)
        [task_id] = set(service.gateway.publish(project.id, run_id, 0, [page(run_id)]).values())
        service.sdk.annotations.create(task_id, result=[])
        path, email = label_studio.invitation(), f"eva-{project.id}@example.com"
        eva = Member.sign_up(label_studio.url, path, email, "put-away-12")
        offered = [eva.next_task(project.id)]
        service.gateway.put_away(project.id, run_id, 1)
        offered.append(eva.next_task(project.id))
        assert [task and task["id"] for task in offered] == [task_id, None]
        eva.close()
        service.gateway.delete_project(project.id)

    @pytest.mark.parametrize(
        "point",
        [
            "label_studio_sdk.projects.client_ext:ProjectsClientExt.import_tasks:before",
            "label_studio_sdk.projects.client_ext:ProjectsClientExt.import_tasks:after",
            "backend.store:Store.published:before",
            "backend.store:Store.published:after",
        ],
    )
    def test_killed_anywhere_no_task_is_doubled(
        self, service: Service, project_id: int, tmp_path: Path, point: str
    ):
        home = service.settings.home.parent / f"killed-{tmp_path.name}"
        own = changed_settings(service.settings, home)
        store = Store.open(own)
        run = generated(store, own, project_id)
        kill_at(point, home, real_label_studio=True)
        store.release_dead(is_dead)
        Worker_(own, store)
        assert store.run(run.id).state is State.labelling
        published = list(service.sdk.tasks.list(project=project_id))
        assert len(published) == 4
        assert {image.task_id for image in store.images(run.id, 0)} == {t.id for t in published}
        store.close()
        shutil.rmtree(home)


def changed_settings(settings: Settings, home: Path) -> Settings:
    """The same service with another home, whose `env` file tells a child process."""
    from backend.settings import write_env

    write_env(
        home,
        {
            "LABEL_STUDIO_URL": settings.label_studio_url,
            "LABEL_STUDIO_API_KEY": settings.label_studio_api_key.get_secret_value(),
            "BASIC_AUTH_PASS": settings.basic_auth_pass.get_secret_value(),
            "HERO_WEBHOOK_SECRET": settings.webhook_secret.get_secret_value(),
            "HERO_PORT": str(settings.port),
            "HERO_LOCAL_FILES_ROOT": str(settings.files_root),
        },
    )
    return Settings.load(home)


def generated(store: Store, settings: Settings, project_id: int) -> Run:
    """A run whose images lie on the disk and are to be published."""
    config = {"prompt": "one rose", "epochs": 1, "images_per_epoch": 4}
    run = store.create_run(config, project_id=project_id)
    claim = store.claim("test", 60)
    assert claim is not None
    run = store.batch_written(claim, [f"{run.id}/0000/{i:04d}.png" for i in range(4)], None, 1.0)
    store.release(claim)
    return run


def Worker_(settings: Settings, store: Store) -> None:
    from backend.worker.loop import Worker

    Worker(settings, store).work_once()


class Strange(BaseHTTPRequestHandler):
    """A server that is not Label Studio."""

    def do_GET(self) -> None:
        body = {"/page": b"<html>hello</html>", "/json": b'{"a": 1}'}.get(
            "/" + self.path.split("/")[1], b"not found"
        )
        self.send_response(200 if body != b"not found" else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture(scope="module")
def strange() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestTrouble:
    def test_both_kinds_of_token_are_taken(self, service: Service):
        assert service.gateway.ping().email == service.label_studio.email
        personal = changed(service, label_studio_api_key=service.label_studio.pat())
        assert personal.ping().version == "1.23.2"
        assert list(personal.emails().values())

    @pytest.mark.parametrize(
        ("token", "said"),
        [
            ("", "is not set"),
            ("wrong", "it looks like a legacy token"),
            ("with\nbreak", "characters"),
            ("ü", "characters"),
            ("expired", "expired"),
            ("forged", "it looks like a personal access token"),
        ],
    )
    def test_a_wrong_token(self, service: Service, token: str, said: str):
        years = {"expired": 2020, "forged": 2090}
        if token in years:
            claims = {"exp": datetime(years[token], 1, 1, tzinfo=UTC), "token_type": "refresh"}
            token = jwt.encode(claims, "k" * 32, algorithm="HS256")
        with pytest.raises(TokenRefused, match=said) as caught:
            changed(service, label_studio_api_key=token).ping()
        assert caught.value.exit_status == 2
        assert "LABEL_STUDIO_API_KEY" in str(caught.value)
        assert not token or token not in str(caught.value)

    def test_legacy_tokens_switched_off(self, service: Service):
        owner = service.label_studio.login()
        both = {"api_tokens_enabled": True}
        owner.post("/api/jwt/settings", json={**both, "legacy_api_tokens_enabled": False})
        try:
            with pytest.raises(TokenRefused, match="personal access token"):
                changed(service).ping()
        finally:
            owner.post("/api/jwt/settings", json={**both, "legacy_api_tokens_enabled": True})
        assert service.gateway.ping()

    def test_nobody_there(self, service: Service):
        gateway = changed(service, label_studio_url=f"http://127.0.0.1:{free_port()}")
        with pytest.raises(LabelStudioUnreachable, match="LABEL_STUDIO_URL"):
            gateway.ping()

    @pytest.mark.parametrize("path", ["", "/page", "/json"])
    def test_something_else_is_there(self, service: Service, strange: str, path: str):
        with pytest.raises(NotLabelStudio, match="not Label Studio"):
            changed(service, label_studio_url=f"{strange}{path}").ping()

    def test_an_address_with_a_path_of_label_studios(self, service: Service):
        wrong = f"{service.settings.label_studio_url}/projects"
        with pytest.raises(NotLabelStudio):
            changed(service, label_studio_url=wrong).ping()

    def test_no_address(self, service: Service):
        with pytest.raises(SettingsInvalid, match="hero up"):
            changed(service, label_studio_url="")

    def test_errors_hold_no_secrets(self, service: Service, project_id: int):
        with pytest.raises(BackendUnreachable) as caught:
            changed(service, port=free_port()).connect_backend(project_id)
        for secret in ("label_studio_api_key", "basic_auth_pass", "webhook_secret"):
            assert getattr(service.settings, secret).get_secret_value() not in str(caught.value)
        assert "session" not in json.dumps(str(caught.value))


def test_a_label_studio_that_refuses_private_addresses(
    service: Service, request: pytest.FixtureRequest, tmp_path: Path
):
    kept = request.config.cache.mkdir("label-studio-1.23.2") / "data"  # type: ignore[union-attr]
    shutil.copytree(kept, tmp_path / "data")
    wary = LocalLabelStudio(
        tmp_path / "data",
        files_root=service.settings.files_root,
        log=tmp_path / "log",
        port=free_port(),
        extra_env={"SSRF_PROTECTION_ENABLED": "true", "ML_BLOCK_LOCAL_IP": "true"},
    )
    wary.start()
    try:
        gateway = changed(
            service, label_studio_url=wary.account.url, label_studio_api_key=wary.account.token
        )
        project = gateway.ensure_project(Store.new_run_id("rose"), "one rose", "one rose")
        with pytest.raises(PrivateAddressRefused, match="SSRF_PROTECTION_ENABLED=false"):
            gateway.connect_backend(project.id)
    finally:
        stop([wary.child])
