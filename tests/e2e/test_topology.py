"""The team's deployment without containers: an epoch from its first image to what is learned."""

import re
from pathlib import Path

import httpx
import pytest

from backend.label_studio.browser_session import Member
from backend.local import processes
from backend.settings import Settings
from backend.store import Store
from backend.tasks.label_config import template, verdict_control
from tests.e2e.topology import Topology

pytestmark = [pytest.mark.label_studio, pytest.mark.postgres, pytest.mark.slow]

PASSWORD = "a password of ada's"


def test_a_team_goes_through_an_epoch(tmp_path: Path):
    with Topology(tmp_path) as team:
        team.start()
        said = team.run("worker", "hero", "doctor")
        assert "All is well" in said, said

        started = team.run(
            "worker", "hero", "start", "--prompt", "one blue rose", "--images", "4",
            "--epochs", "1", "--steps", "3", "--set", "embedding_steps=3",
            "--annotators-per-image", "2",
        )  # fmt: skip
        assert "8 labels in all" in started
        assert f"images are there: {team.url('8080')}/projects/" in started

        invited = team.run("worker", "hero", "invite", "ada@example.com")
        link = re.search(rf"{team.url('8080')}(/user/signup/\S+)", invited)
        assert link is not None
        ada = Member.sign_up(team.url("8080"), link[1], "ada@example.com", PASSWORD)
        owner = Member.log_in(
            team.url("8080"), team.env["LABEL_STUDIO_USERNAME"], team.env["LABEL_STUDIO_PASSWORD"]
        )
        env = team.environment("worker")
        store = Store.open(
            Settings(database_url=env["HERO_DATABASE_URL"].replace("@", f":{env['PGPASSWORD']}@"))
        )
        try:
            (run,) = store.runs()
            assert wait(lambda: store.run(run.id).state == "labelling")
            label(ada, run.project_id, ["best", "good", "bad", "bad"])
            assert store.run(run.id).state == "labelling"
            label(owner, run.project_id, ["best", "bad", "bad", "bad"])
            assert wait(lambda: store.run(run.id).state == "finished")
            verdicts = [image.verdict for image in store.images(run.id, 0)]
            assert verdicts == ["best", "bad", "bad", "bad"]
            (epoch,) = store.epochs(run.id)
            assert epoch.report is not None
        finally:
            store.close()
            ada.close()
            owner.close()
        assert "finished" in team.run("worker", "hero", "runs")
        metrics = httpx.get(
            f"{team.url('9090')}/metrics", auth=("hero", team.env["BASIC_AUTH_PASS"])
        )
        assert 'hero_webhooks_total{action="ANNOTATION_CREATED"}' in metrics.text
        assert httpx.get(f"{team.url('9090')}/metrics").status_code == 401


def label(
    person: Member, project_id: int, verdicts: list[str], *, count: int | None = None
) -> None:
    """As at the labelling page: the image is looked at, then judged."""
    control = verdict_control(template())
    for _ in verdicts[:count]:
        task = person.next_task(project_id)
        assert person.image(task["data"]["image"]).startswith(b"\x89PNG")
        result = [control.result(verdicts[task["data"]["index"]])]
        person.annotate(task["id"], result, lead_time=1.0)


def wait(condition) -> bool:
    return processes.wait_until(condition, seconds=180, alive=lambda: True)
