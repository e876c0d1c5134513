"""The gateway against a real Label Studio: no image has two tasks, wherever it was killed."""

import shutil
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from backend.errors import LabelConfigUnusable
from backend.label_studio import Gateway, NewTask
from backend.label_studio.browser_session import Member
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import State
from backend.settings import Settings
from backend.store import Store
from backend.tasks.label_config import template, verdict_control
from backend.tasks.predictions import Prediction
from backend.worker.lease import is_dead
from tests.backend.killed_worker import kill_at
from tests.e2e.gateway.published import page, tasks
from tests.e2e.service import Service

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


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

    @pytest.mark.parametrize("address", ["/api/dm/actions", "/api/dm/actions/"])
    def test_the_labelling_page_gives_each_person_what_still_needs_them(
        self, service: Service, label_studio, address: str
    ):
        """As docs/labelling.md says, where an image needs two labels and three people label."""
        run_id = Store.new_run_id("rose")
        plan = Labelling(annotators_per_image=2)
        project = service.gateway.ensure_project(run_id, "one rose", "one rose", plan).id
        service.gateway.publish(project, run_id, 0, tasks(run_id))
        ann, bob, eva = (
            label_studio.invite(f"{name}-{project}@example.com", "by-the-page-12")
            for name in ("ann", "bob", "eva")
        )

        def given(person: httpx.Client) -> int | None:
            asked = {
                "project": str(project),
                "ordering": [],
                "selectedItems": {"all": False, "included": []},
                "filters": {"conjunction": "and", "items": []},
            }
            of = f"{address}?id=next_task&project={project}"
            answer = person.post(of, json=asked)
            return answer.json()["id"] if answer.is_success else None

        def labelled(person: httpx.Client) -> int | None:
            if task := given(person):
                body = {"result": [verdict_control(template()).result("good")]}
                assert person.post(f"/api/tasks/{task}/annotations/", json=body).is_success
            return task

        first = given(ann)
        assert (given(bob), given(bob)) == (first, first)
        second = given(eva)
        assert second not in (first, None)  # the first one is open where it is needed
        of_ann = [labelled(ann) for _ in range(3)]
        assert of_ann == [first, second, of_ann[2]] == sorted(of_ann)
        of_bob = [labelled(bob) for _ in range(3)]
        assert set(of_bob[:2]) == {first, of_ann[2]} and of_bob[2] not in of_ann
        of_eva = [labelled(eva) for _ in range(2)]
        assert of_eva == [second, of_bob[2]]
        assert [labelled(person) for person in (ann, bob, eva)] == [None] * 3
        service.gateway.delete_project(project)

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
