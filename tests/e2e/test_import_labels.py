"""A run that begins with pictures that people judged in a project of their own."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

from backend import cli
from backend.run.states import State
from tests.e2e.service import Service
from tests.hero_engine.tiny import save_pipeline

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

PAGE = """
<View>
  <Image name="photo" value="$picture"/>
  <Choices name="quality" toName="photo" choice="single">
    <Choice value="Nice"/><Choice value="Ugly"/><Choice value="Cannot say"/>
  </Choices>
</View>"""
SAID = ["Nice", "Nice", "Ugly", "Ugly", "Cannot say"]


@pytest.fixture
def service(label_studio) -> Iterator[Service]:
    service = Service(label_studio.root / "import", label_studio, poll_seconds=0.5, sample_row=0)
    yield service.start()
    service.stop()


@pytest.fixture
def export(label_studio, service: Service, tmp_path: Path) -> Path:
    """Label Studio's own export of a project with uploaded pictures, and one person's labels."""
    project = service.sdk.projects.create(title="Roses of before", label_config=PAGE).id
    token = {"Authorization": f"Token {label_studio.token}"}
    with httpx.Client(base_url=label_studio.url, headers=token, timeout=60) as http:
        for number in range(len(SAID)):
            path = tmp_path / f"rose-{number}.png"
            Image.effect_noise((40, 30), 30 + 20 * number).convert("RGB").save(path)
            with path.open("rb") as file:
                answer = http.post(
                    f"/api/projects/{project}/import",
                    params={"commit_to_project": "true"},
                    files={"file": (path.name, file, "image/png")},
                )
            answer.raise_for_status()
        tasks = sorted(service.sdk.tasks.list(project=project), key=lambda task: task.id)
        control = {"from_name": "quality", "to_name": "photo", "type": "choices"}
        for task, word in zip(tasks, SAID, strict=True):
            said = [{**control, "value": {"choices": [word]}}]
            service.sdk.annotations.create(task.id, result=said)
        answer = http.get(f"/api/projects/{project}/export", params={"exportType": "JSON"})
        answer.raise_for_status()
    (tmp_path / "labels.json").write_text(json.dumps(answer.json()))
    return tmp_path / "labels.json"


def test_labels_of_a_foreign_project_teach_and_the_run_goes_on(
    service: Service, label_studio, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    service.as_a_shell_knows_it(monkeypatch)

    def hero(*words: object):
        return CliRunner().invoke(cli.app, [str(word) for word in words])

    small = ["--images", 4, "--epochs", 1, "--steps", 3, "--set", "denoising_steps=2"]
    small += ["--set", "denoising_batch_size=4", "--set", "embedding_steps=3", "--no-trial"]
    words = [
        "import-labels", export, "--prompt", "one rose", "--method", "hero+", *small,
        "--model", save_pipeline(tmp_path / "random"),
    ]  # fmt: skip
    refused = hero(*words)
    assert refused.exit_code == 2, refused.output
    assert "'Nice', 'Ugly', 'Cannot say' means" in refused.output.replace("\n", " ")
    said = ["--good", "nice", "--bad", "ugly", "--skip", "cannot say"]
    refused = hero(*words, *said, "--pictures", tmp_path / "random")
    assert refused.exit_code == 2, refused.output
    assert service.store.runs() == []

    # With the names that the files had before Label Studio got them, and with its own folder.
    media = label_studio.root.parent / "data" / "media"
    for pictures in (tmp_path, media):
        answer = hero(*words, *said, "--pictures", pictures)
        assert answer.exit_code == 0, answer.output
        assert "4 imported labels: 2 good, 2 bad." in " ".join(answer.output.split())
        run = service.wait(service.store.run("latest"), State.labelling, epoch=1)
        first, _ = service.store.epochs(run.id)
        assert first.report is not None and first.report["updated"]
        tasks = list(service.sdk.tasks.list(project=run.project_id))
        assert {task.data["epoch"] for task in tasks} == {2}
        assert len(tasks) == 4
    service.label(run, ["good", "bad", "best", "bad"])
    run = service.wait(run, State.finished, epoch=2)
    status = hero("status", run.id)
    assert "Epoch 1 is 4 imported labels: 2 good, 2 bad." in status.output
    rows = tmp_path / "verdicts.csv"
    assert hero("export", run.id, "--what", "verdicts", "--out", rows).exit_code == 0
    assert rows.read_text().count('"imported"') == 4
    assert hero("export", run.id, "--what", "report", "--out", tmp_path / "r.html").exit_code == 0
    assert "4 imported labels: 2 good, 2 bad" in (tmp_path / "r.html").read_text()
