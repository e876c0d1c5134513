"""Several runs at once, each in a project of its own: new, or one that a team had already."""

from collections.abc import Iterator
from typing import Any

import pytest

from backend.errors import BackendUnreachable, BadInput, ProjectTaken
from backend.local.processes import free_port
from backend.run.states import State
from backend.starting.start_run import start_run
from tests.e2e.service import Service
from tests.hero_engine.tiny import save_pipeline

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


@pytest.fixture(scope="module")
def service(label_studio) -> Iterator[Service]:
    service = Service(label_studio.root / "several", label_studio)
    yield service
    service.stop()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return save_pipeline(tmp_path_factory.mktemp("model"))


@pytest.fixture
def teams_project(service: Service) -> int:
    """An empty project that somebody made in Label Studio."""
    return service.sdk.projects.create(title="Team roses", description="ours").id


def seen(service: Service, project_id: int) -> dict[str, Any]:
    """A project as Label Studio shows it, with what it is connected to."""
    sdk = service.sdk
    fields = sdk.projects.get(project_id).dict()
    fields["webhooks"] = [each.id for each in sdk.webhooks.list(project=str(project_id))]
    fields["ml"] = [each.id for each in sdk.ml.list(project=project_id)]
    fields["tabs"] = [each.id for each in sdk.views.list(project=project_id)]
    fields["storages"] = [each.id for each in sdk.import_storage.local.list(project=project_id)]
    return fields


def test_a_start_that_fails_late_leaves_the_teams_project_as_it_was(
    service: Service, pipeline, teams_project: int
):
    before = seen(service, teams_project)
    nobody = service.settings.model_copy(update={"port": free_port()})
    config = {"prompt": "one rose", "model": str(pipeline), "epochs": 1, "images_per_epoch": 4}
    with pytest.raises(BackendUnreachable):
        start_run(nobody, service.store, config, "New name", project_id=teams_project)
    assert seen(service, teams_project) == before
    assert service.store.run_of_project(teams_project) is None


def test_a_project_that_is_not_there_or_not_empty_is_refused(service: Service, pipeline):
    project_id = service.sdk.projects.create(title="Full").id
    service.sdk.projects.import_tasks(project_id, request=[{"text": "theirs"}])
    before = seen(service, project_id)
    with pytest.raises(BadInput, match="holds 1 tasks that are not ours"):
        service.start_run(pipeline, project_id=project_id)
    assert seen(service, project_id) == before
    with pytest.raises(BadInput, match="none with that number"):
        service.start_run(pipeline, project_id=999_999)


def test_two_runs_take_turns_on_one_worker(service: Service, pipeline, teams_project: int):
    service.start()
    one = service.start_run(pipeline)
    two = service.start_run(pipeline, prompt="two roses", project_id=teams_project)
    assert two.project_id == teams_project != one.project_id
    assert service.sdk.projects.get(teams_project).title == "Team roses"
    with pytest.raises(ProjectTaken, match=f"{two.id} has it"):
        service.start_run(pipeline, project_id=teams_project)

    service.wait(one, State.labelling, epoch=0)
    service.wait(two, State.labelling, epoch=0)
    service.label(two, ["good", "best", "bad", "bad"])
    service.label(one, ["best", "good", "good", "bad"])
    one = service.wait(one, State.labelling, epoch=1)
    two = service.wait(two, State.labelling, epoch=1)
    service.label(one, ["bad", "bad", "bad", "best"])
    service.wait(one, State.finished, epoch=2)
    assert service.store.run(two.id).state is State.labelling
    service.label(two, ["bad", "bad", "best", "good"])
    service.wait(two, State.finished, epoch=2)

    def verdicts(run, epoch: int) -> list[str | None]:
        return [image.verdict for image in service.store.images(run.id, epoch)]

    assert verdicts(one, 0) == ["best", "good", "good", "bad"]
    assert verdicts(two, 0) == ["good", "best", "bad", "bad"]
    assert verdicts(one, 1) == ["bad", "bad", "bad", "best"]
    assert verdicts(two, 1) == ["bad", "bad", "best", "good"]
    for run in (one, two):
        tasks = list(service.sdk.tasks.list(project=run.project_id))
        assert len(tasks) == 8
        assert {task.data["hero_image_id"].split("/")[0] for task in tasks} == {run.id}
