"""The gateway against a real Label Studio: a project, and what connects it, once."""

import re
from pathlib import Path

import pytest
from label_studio_sdk.core.api_error import ApiError

from backend.errors import (
    BackendUnreachable,
    ImageUnresolvable,
    LabelConfigUnusable,
    ProjectGone,
    SettingsInvalid,
)
from backend.label_studio import Gateway
from backend.local.processes import free_port
from backend.run.webhook_contract import SECRET_HEADER
from backend.store import Store
from backend.tasks.label_config import template
from tests.e2e.gateway.published import changed, tasks
from tests.e2e.service import Service

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


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

    def test_label_studio_finds_no_model_at_an_ipv6_address(
        self, service: Service, project_id: int
    ):
        with pytest.raises(SettingsInvalid, match="http://localhost:9090"):
            changed(service, url="http://[::1]:9090").connect_backend(project_id)
        with pytest.raises(ApiError, match=re.escape("resolve hostname [::1]")):
            service.sdk.ml.create(project=project_id, url="http://[::1]:9090", title="x")

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
