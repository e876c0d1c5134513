"""Labels out of and into a real Label Studio: nothing lost, nothing twice, nobody mistaken."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from backend import cli
from backend.exports import annotations
from backend.exports.source import Source
from backend.label_studio import Gateway
from backend.label_studio.browser_session import Member
from backend.labels import collect
from backend.labels.progress import count_labels
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.settings import Settings
from backend.store import Store
from backend.tasks import publishing
from backend.tasks.gallery import BEST_CONTROL, GOOD_CONTROL
from backend.tasks.images import image_key, image_path
from backend.tasks.label_config import template, verdict_control

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

IMAGES = 4
PEOPLE = ("ann@example.com", "bob@example.com")


@dataclass
class Home:
    """A home folder with a real Label Studio, and no backend that runs."""

    settings: Settings
    store: Store
    gateway: Gateway
    members: list[Member]

    def open_run(self, layout: str) -> Run:
        """A run whose first epoch waits for labels."""
        labelling = Labelling(layout=layout, annotators_per_image=2)
        config = {"prompt": "one rose", "epochs": 2, "images_per_epoch": IMAGES}
        run = self.store.create_run(config, labelling=labelling)
        project = self.gateway.ensure_project(run.id, "exchange", run.prompt, labelling)
        self.store.set_project(run.id, project.id, project.url)
        claim = self.store.claim("test", 60)
        assert claim is not None and claim.run.id == run.id
        paths = [image_path(run.id, 0, index) for index in range(IMAGES)]
        for path in paths:
            file = self.settings.images_dir / path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(file)
        run = self.store.batch_written(claim, paths, None, 1.0)
        tasks = publishing.tasks(self.settings, run, self.store.images(run.id), [], {})
        task_ids = self.gateway.publish(project.id, run.id, 0, tasks)
        self.store.published(replace(claim, run=run), task_ids, 1.0)
        return self.store.run(run.id)

    def exported(self, run: Run) -> list[dict[str, Any]]:
        return self.gateway.exported(run.project_id)

    def rows(self, run: Run) -> list[dict[str, Any]]:
        """Our export of the annotations, fetched anew."""
        collect.reconcile(self.store, self.gateway, run, {0})
        return annotations.rows(Source(self.settings, self.store, run))


@pytest.fixture(scope="module")
def home(label_studio) -> Iterator[Home]:
    folder = label_studio.root / "exchange"
    settings = Settings(
        home=folder,
        label_studio_url=label_studio.url,
        label_studio_api_key=label_studio.token,
        local_files_root=label_studio.root,
        webhook_secret="secret",
        basic_auth_pass="secret",
    )
    store = Store.open(settings)
    invite = label_studio.invitation()
    members = [Member.sign_up(label_studio.url, invite, each, "passw0rd-X!") for each in PEOPLE]
    yield Home(settings, store, Gateway(settings), members)
    for member in members:
        member.close()
    store.close()


@pytest.fixture
def hero(home: Home, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "HERO_HOME": home.settings.home,
        "LABEL_STUDIO_URL": home.settings.label_studio_url,
        "LABEL_STUDIO_API_KEY": home.settings.label_studio_api_key.get_secret_value(),
        "HERO_LOCAL_FILES_ROOT": home.settings.files_root,
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, str(value))
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


def said(run: Run, letters: str) -> list[dict[str, Any]]:
    """The result of a task's annotation: a verdict, or a page's verdicts; g, b and t."""
    if run.labelling.layout == "image":
        values = {"g": "good", "b": "bad", "t": "best"}
        return [verdict_control(template()).result(values[letters])]
    keys = [image_key(run.id, 0, index) for index in range(IMAGES)]
    chosen = {
        GOOD_CONTROL: [key for key, letter in zip(keys, letters, strict=True) if letter != "b"],
        BEST_CONTROL: [key for key, letter in zip(keys, letters, strict=True) if letter == "t"],
    }
    return [
        {"from_name": name, "to_name": "prompt", "type": "choices", "value": {"choices": picked}}
        for name, picked in chosen.items()
    ]


def label(home: Home, run: Run) -> None:
    """Two people label: an edit, a skip, a deletion, and one who labels the same twice."""
    ann, bob = home.members
    tasks = sorted({image.task_id for image in home.store.images(run.id)})
    if run.labelling.layout == "gallery":
        [page] = tasks
        first = ann.annotate(page, said(run, "gtbb"), 12.5)
        bob.annotate(page, said(run, "bbtg"), 30.0)
        ann.change(first["id"], said(run, "ggtb"))
        gone = bob.annotate(page, said(run, "tbbb"), 2.0)
        bob.http.delete(f"/api/annotations/{gone['id']}/").raise_for_status()
        bob.http.post(f"/api/tasks/{page}/annotations/", json={"result": [], "was_cancelled": True})
        return
    for task, letters in zip(tasks, ("gb", "bb", "tg", "gg"), strict=True):
        ann.annotate(task, said(run, letters[0]), 1.25)
        bob.annotate(task, said(run, letters[1]), 3.5)
    changed = ann.annotate(tasks[1], said(run, "g"), 0.5)
    ann.change(changed["id"], said(run, "b"))
    gone = bob.annotate(tasks[2], said(run, "b"), 2.0)
    bob.http.delete(f"/api/annotations/{gone['id']}/").raise_for_status()
    bob.http.post(f"/api/tasks/{tasks[3]}/annotations/", json={"result": [], "was_cancelled": True})


LAYOUTS = pytest.mark.parametrize("layout", ["image", "gallery"])


@LAYOUTS
def test_label_studios_own_export_reconciles_with_ours(home: Home, layout: str):
    run = home.open_run(layout)
    label(home, run)
    before = home.rows(run)
    ours = {row["annotation_id"]: row for row in before if not row["deleted"]}
    theirs = {
        entry["id"]: (entry, task) for task in home.exported(run) for entry in task["annotations"]
    }
    assert ours.keys() == theirs.keys()
    assert len(theirs) == (3 if layout == "gallery" else 10)
    emails = home.gateway.emails()
    for number, (entry, task) in theirs.items():
        row = ours[number]
        assert row["task_id"] == task["id"]
        assert row["annotator_id"] == entry["completed_by"]
        assert row["annotator"] == emails[entry["completed_by"]]
        assert row["lead_time"] == entry["lead_time"]
        assert row["created_at"] == datetime.fromisoformat(entry["created_at"])
        assert row["updated_at"] == datetime.fromisoformat(entry["updated_at"])
        assert row["was_cancelled"] == entry["was_cancelled"]
        values = {r["index"]: r["value"] for r in before if r["annotation_id"] == number}
        if entry["was_cancelled"]:
            assert set(values.values()) == {None}
        elif layout == "image":
            [said] = entry["result"]
            assert [*values.values()] == said["value"]["choices"]
            assert row["image"] == task["data"]["hero_image_id"]
        else:
            good, best = (set(item["value"]["choices"]) for item in entry["result"])
            keys = {image_key(run.id, 0, index): value for index, value in values.items()}
            assert len(keys) == IMAGES
            assert {key for key, value in keys.items() if value != "bad"} == good
            assert {key for key, value in keys.items() if value == "best"} == best


def elsewhere(home: Home, run: Run, target: Path, *, with_addresses: bool = False) -> Run:
    """A file of labels that were made on the run's tasks in another project; the run."""
    tasks = [{"data": task["data"]} for task in home.exported(run)]
    client = home.gateway._client
    other = client.projects.create(title="offline", label_config=template(run.labelling.layout))
    client.projects.import_tasks(other.id, request=tasks)
    ann, bob = home.members
    letters = {"image": ["g", "b", "t", "b"], "gallery": ["gbtb"]}[run.labelling.layout]
    for task, letter in zip(client.tasks.list(project=other.id), letters, strict=True):
        ann.annotate(task.id, said(run, letter), 4.5)
        bob.annotate(task.id, said(run, letter), 6.5)
    if with_addresses:
        options = {"annotations__completed_by": {"only_id": False}}
        made = client.projects.exports.create(other.id, serialization_options=options)
        parts = client.projects.exports.download(other.id, made.id, export_type="JSON")
        target.write_bytes(b"".join(parts))
    else:
        target.write_text(json.dumps(home.gateway.exported(other.id)))
    return run


@LAYOUTS
def test_labels_from_elsewhere_are_made_here_once(home: Home, hero, layout: str, tmp_path: Path):
    run = elsewhere(home, home.open_run(layout), tmp_path / "labels.json", with_addresses=True)
    answer = hero("import-annotations", run.id, tmp_path / "labels.json")
    assert answer.exit_code == 0, answer.output
    each = 1 if layout == "gallery" else IMAGES
    assert f"Imported {2 * each} annotations: " in answer.stdout
    assert all(f"{each} by {email}" in answer.stdout for email in PEOPLE)
    rows = [row for row in home.rows(run) if row["annotator"] == PEOPLE[0]]
    assert [row["value"] for row in rows] == ["good", "bad", "best", "bad"]
    assert {row["lead_time"] for row in rows} == {4.5}
    assert count_labels(home.store, run.id, 0).complete

    again = hero("import-annotations", run.id, tmp_path / "labels.json")
    assert again.exit_code == 0, again.output
    assert f"Imported 0 annotations.\n{2 * each} were there already.\n" == again.stdout
    assert sum(len(task["annotations"]) for task in home.exported(run)) == 2 * each


def test_numbers_of_another_server_are_nobody_until_said(home: Home, hero, tmp_path: Path):
    file = tmp_path / "labels.json"
    run = elsewhere(home, home.open_run("image"), file)
    ann, bob = (str(member.user_id) for member in home.members)
    refused = hero("import-annotations", run.id, file)
    assert refused.exit_code == 2
    assert f"by numbers ({ann}, {bob})" in refused.stderr
    one = hero("import-annotations", run.id, file, "--annotator", PEOPLE[0])
    assert one.exit_code == 2 and "--annotator WHO=EMAIL for each" in one.stderr
    strange = hero("import-annotations", run.id, file, "--annotator", f"{ann}=eve@example.com")
    assert strange.exit_code == 2 and "hero invite eve@example.com" in strange.stderr
    assert sum(len(task["annotations"]) for task in home.exported(run)) == 0

    both = ("--annotator", f"{ann}={PEOPLE[1]}", "--annotator", f"{bob}={PEOPLE[0]}")
    answer = hero("import-annotations", run.id, file, *both)
    assert answer.exit_code == 0, answer.output
    assert {row["annotator"]: row["lead_time"] for row in home.rows(run)} == {
        PEOPLE[1]: 4.5,
        PEOPLE[0]: 6.5,
    }


def test_its_own_export_brings_back_what_was_deleted(home: Home, hero, tmp_path: Path):
    run = home.open_run("image")
    label(home, run)
    file = tmp_path / "backup.json"
    before = home.exported(run)
    file.write_text(json.dumps(before))
    ann = home.members[0]
    lost, changed = (task["annotations"][0]["id"] for task in before[:2])
    ann.http.delete(f"/api/annotations/{lost}/").raise_for_status()
    ann.change(changed, said(run, "t"))
    answer = hero("import-annotations", run.id, file)
    assert answer.exit_code == 0, answer.output
    assert f"Imported 1 annotations: 1 by {PEOPLE[0]}" in answer.stdout
    assert "9 were there already, 1 of them changed since and left so." in answer.stdout
    values = [row["value"] for row in home.rows(run) if row["index"] == 0 and not row["deleted"]]
    assert sorted(values) == ["bad", "good"]


MORE = """
<Choices name="hands" toName="{what}" choice="single">
  <Choice value="good"/><Choice value="bad"/><Choice value="best"/>
</Choices>
<TextArea name="why" toName="{what}"/>
<Rating name="stars" toName="{what}"/>
</View>"""


@LAYOUTS
def test_what_people_add_to_the_page_neither_makes_nor_loses_a_verdict(
    home: Home, hero, layout: str, tmp_path: Path
):
    run = home.open_run(layout)
    what = "image" if layout == "image" else "prompt"
    page = template(run.labelling.layout).rstrip().removesuffix("</View>")
    changed = f"{page}{MORE.format(what=what)}"
    home.gateway._client.projects.update(run.project_id, label_config=changed)
    home.gateway.check_page(run.project_id, run.labelling.layout)

    def more(hands: str) -> list[dict[str, Any]]:
        names = {"from_name": "hands", "to_name": what, "type": "choices"}
        return [
            {**names, "value": {"choices": [hands]}},
            {**names, "from_name": "why", "type": "textarea", "value": {"text": ["nice"]}},
            {**names, "from_name": "stars", "type": "rating", "value": {"rating": 3}},
        ]

    letters = ["g", "b", "t", "b"] if layout == "image" else ["gbtb"]
    ann, bob = home.members
    tasks = sorted({image.task_id for image in home.store.images(run.id)})
    for task, letter in zip(tasks, letters, strict=True):
        ann.annotate(task, [*more("best"), *said(run, letter)], 4.5)
        bob.annotate(task, [*said(run, letter), *more("bad")], 6.5)
    values = ["good", "bad", "best", "bad"]

    def verdicts(person: str) -> list[str]:
        rows = [row for row in home.rows(run) if row["annotator"] == person and not row["deleted"]]
        return [row["value"] for row in sorted(rows, key=lambda row: row["index"])]

    assert [verdicts(person) for person in PEOPLE] == [values, values]
    assert count_labels(home.store, run.id, 0).complete
    file = tmp_path / "labels.json"
    before = home.exported(run)
    file.write_text(json.dumps(before))
    for each in [entry for task in before for entry in task["annotations"]]:
        ann.http.delete(f"/api/annotations/{each['id']}/").raise_for_status()
    assert [verdicts(person) for person in PEOPLE] == [[], []]
    answer = hero("import-annotations", run.id, file)
    assert answer.exit_code == 0, answer.output
    assert [verdicts(person) for person in PEOPLE] == [values, values]
    again = [entry for task in home.exported(run) for entry in task["annotations"]]
    assert {len(entry["result"]) for entry in again} == {4 if layout == "image" else 5}
