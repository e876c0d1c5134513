"""A run that goes on from another one, in a real Label Studio."""

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from backend import cli
from backend.run.records import Run
from backend.run.states import Event, State
from tests.backend.learned import learned
from tests.e2e.service import Service
from tests.hero_engine.tiny import save_pipeline

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


@pytest.fixture
def service(label_studio) -> Iterator[Service]:
    service = Service(label_studio.root / "going-on", label_studio, poll_seconds=0.5, sample_row=0)
    yield service
    service.stop()


@pytest.fixture
def before(service: Service, tmp_path) -> Run:
    plus = {"method": "hero+", "denoising_steps": 2, "denoising_batch_size": 4, "epochs": 1}
    verdicts = ["good", "bad", "best", "good"]
    try:
        pipeline = save_pipeline(tmp_path / "random")
        run = learned(service.settings, service.store, pipeline, verdicts, 2, **plus)
        service.store.transition(run, Event.stop)
        return run
    finally:
        service.start()


def test_other_criteria_and_the_labels_of_before(
    service: Service, before: Run, monkeypatch: pytest.MonkeyPatch
):
    service.as_a_shell_knows_it(monkeypatch)
    words = ["start", "--from", before.id, "--with-labels", "--criteria", "It is red."]
    answer = CliRunner().invoke(cli.app, [*words, "--no-trial"])
    assert answer.exit_code == 0, answer.output
    run = service.store.run("latest")
    assert f"It goes on from the model of {before.id} after epoch 1 and its labels." in (
        " ".join(answer.output.split())
    )
    run = service.wait(run, State.labelling, epoch=0)
    tasks = list(service.sdk.tasks.list(project=run.project_id))
    assert {task.data["criteria"] for task in tasks} == {"It is red."}
    service.label(run, ["bad"] * 4)
    answer = CliRunner().invoke(cli.app, ["advance", run.id])
    run = service.wait(run, State.finished, epoch=1)
    (epoch,) = service.store.epochs(run.id)
    assert epoch.report is not None
    assert epoch.report["updated"], "the images that were good before teach"
