"""Two annotators differ, the tab in the Data Manager shows where, and a lead settles it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from backend.labels.disagreements_tab import TITLE
from backend.labels.progress import count_labels
from backend.local.processes import wait_until
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import State
from backend.tasks.label_config import template, verdict_control
from tests.e2e.service import Service
from tests.hero_engine.tiny import save_pipeline

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

LEAD = "settling-lead@example.com"


@pytest.fixture(scope="module")
def service(label_studio) -> Iterator[Service]:
    service = Service(label_studio.root / "disagreements", label_studio).start()
    yield service
    service.stop()


def tab(service: Service, run: Run) -> list[str] | None:
    """The titles of the project's tabs are right, and these images stand in ours."""
    views = service.sdk.views.list(project=run.project_id)
    if len(views) < 2:  # the default tab is made first
        return None
    assert [view.data["title"] for view in views] == ["Default", TITLE]
    tasks = service.sdk.tasks.list(view=views[1].id, resolve_uri=False)
    return [task.data["hero_image_id"].rpartition("/")[2] for task in tasks]


def test_the_tab_follows_the_votes_and_a_leads_word_settles(
    service: Service, label_studio, tmp_path: Path
):
    lead, ann, bob = (
        label_studio.invite(email, "press-a-key-1")
        for email in (LEAD, "settling-ann@example.com", "settling-bob@example.com")
    )
    plan = Labelling(annotators_per_image=2, adjudicators=LEAD)
    run = service.start_run(save_pipeline(tmp_path / "model"), labelling=plan)
    service.wait(run, State.labelling, epoch=0)
    control = verdict_control(template())
    tasks = [image.task_id for image in service.store.images(run.id, 0)]

    def vote(person: httpx.Client, index: int, value: str) -> int:
        answer = person.post(
            f"/api/tasks/{tasks[index]}/annotations/", json={"result": [control.result(value)]}
        )
        answer.raise_for_status()
        return answer.json()["id"]

    for index, value in enumerate(["best", "bad", "bad"]):
        vote(ann, index, value)
    bobs = [vote(bob, index, value) for index, value in enumerate(["best", "good", "good"])]
    _eventually(lambda: tab(service, run) == ["0001", "0002"])
    assert count_labels(service.store, run.id, 0).labelled == 3

    # As the Data Manager opens it: the lead changes the annotation that is there.
    lead.patch(f"/api/annotations/{bobs[1]}/", json={"result": [control.result("bad")]})
    _eventually(lambda: tab(service, run) == ["0002"])
    vote(lead, 2, "good")
    _eventually(lambda: tab(service, run) == [])

    vote(ann, 3, "bad")
    vote(bob, 3, "bad")
    service.wait(run, State.generating, State.publishing, State.labelling, epoch=1)
    verdicts = [(image.verdict, image.verdict_by) for image in service.store.images(run.id, 0)]
    assert verdicts == [
        ("best", "people"),
        ("bad", "adjudicator"),
        ("good", "adjudicator"),
        ("bad", "people"),
    ]


def _eventually(condition: Callable[[], bool]) -> None:
    assert wait_until(condition, seconds=60, alive=lambda: True)
