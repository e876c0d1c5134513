"""What of an export file is imported, what is left out, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.errors import BadInput, LabelStudioUnreachable
from backend.labels.import_annotations import carry_out, plan
from backend.run.labelling import Labelling
from backend.tasks.label_config import GalleryControls
from tests.backend.fake_label_studio import result
from tests.backend.filled import annotations, close_epoch, open_epoch

ANN, BOB = "ann@example.com", "bob@example.com"


class Project:
    """A run's project: its tasks as Label Studio exports them, and what is made in it."""

    def __init__(self, run: Any, epochs: int = 2) -> None:
        self.tasks = [task(run, e, i) for e in range(epochs) for i in range(4)]
        self.down_after = 1000

    def exported(self, project_id: int) -> list[dict[str, Any]]:
        return self.tasks

    def controls_of(self, project_id: int, layout: str) -> set[str]:
        return {"verdict"}

    def emails(self) -> dict[int, str]:
        return {1: ANN, 2: "Bob@example.com"}

    def annotate(
        self, task_id: int, annotator_id: int, unique_id: str, said: dict[str, Any]
    ) -> bool:
        if not self.down_after:
            raise LabelStudioUnreachable("Cannot reach Label Studio; start it.")
        self.down_after -= 1
        [there] = [each for each in self.tasks if each["id"] == task_id]
        made = {
            "unique_id": unique_id,
            "completed_by": annotator_id,
            "updated_at": "2026-05",
            **said,
        }
        there["annotations"].append(made)
        return True

    @property
    def made(self) -> list[tuple[str, int, str]]:
        return [
            (
                each["data"]["hero_image_id"][-6:],
                a["completed_by"],
                a["result"][0]["value"]["choices"][0],
            )
            for each in self.tasks
            for a in each["annotations"]
        ]


def task(run: Any, epoch: int, index: int, *entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": 100 * epoch + index,
        "project": 7,
        "created_at": f"2026-01-01T00:0{epoch}:0{index}Z",
        "data": {"hero_image_id": f"{run.id}/{epoch}/{index:04d}"},
        "annotations": list(entries),
    }


def entry(value: str | None, person: Any = ANN, at: str = "2026-03", **more: Any) -> dict[str, Any]:
    if isinstance(person, str):
        person = {"id": 55, "email": person}
    return {
        "unique_id": f"{value}-{person}-{at}",
        "completed_by": person,
        "result": result(value),
        "was_cancelled": value is None,
        "lead_time": 2.5,
        "created_at": at,
        "updated_at": at,
        **more,
    }


@pytest.fixture
def run(settings, store, config):
    """Epoch 0 is closed, epoch 1 is open."""
    run = store.create_run(config, project_id=7)
    run = open_epoch(settings, store, run, annotations(run, 0, "gbtb"))
    run = close_epoch(store, run)
    return open_epoch(settings, store, run, [])


@pytest.fixture
def project(run):
    return Project(run)


@pytest.fixture
def importing(store, project, run, tmp_path: Path):
    """Imports tasks; the plan that was carried out."""

    def importing(tasks: Any, *annotators: str):
        file = tmp_path / "labels.json"
        file.write_text(tasks if isinstance(tasks, str) else json.dumps(tasks))
        made = plan(store, project, run, file, annotators)
        carry_out(project, made)
        return made

    return importing


def test_labels_come_under_the_people_who_made_them(importing, project, run):
    file = [
        task(run, 1, 0, entry("good"), entry("bad", "BOB@example.com")),
        task(run, 1, 1, entry("best")),
    ]
    assert len(importing(file).new) == 3
    assert project.made == [("1/0000", 1, "good"), ("1/0000", 2, "bad"), ("1/0001", 1, "best")]
    assert project.tasks[4]["annotations"][0]["lead_time"] == 2.5
    again = importing(file)
    assert (again.new, again.present, again.changed) == ([], 3, 0)


def test_what_a_changed_page_says_besides_the_verdict_comes_along(importing, project, run):
    more = {"from_name": "why", "type": "textarea", "value": {"text": ["nice"]}}
    hands = {"from_name": "hands", "type": "choices", "value": {"choices": ["good"]}}
    said = [more, hands, *result("bad")]
    assert len(importing([task(run, 1, 0, entry("bad", result=said))]).new) == 1
    [there] = [each for each in project.tasks if each["annotations"]]
    assert there["annotations"][0]["result"] == said


def test_without_unique_ids_a_file_is_still_imported_once(importing, project, run):
    file = [task(run, 1, 0, entry("good", unique_id=None))]
    assert [len(importing(file).new) for _ in range(2)] == [1, 0]
    assert len(project.made) == 1


def test_what_is_left_out_is_counted_by_its_reason(importing, project, run, config):
    file = [
        task(run, 0, 1, entry("good")),
        task(run, 1, 0, entry("good"), entry("NOPE", BOB)),
        task(run, 1, 9, entry("bad")),
        task(run, 1, 1, entry("bad", result=[{**result("bad")[0], "from_name": "quality"}])),
        {"data": {"text": "something else"}, "annotations": [entry("good")]},
    ]
    made = importing(file)
    assert project.made == [("1/0000", 1, "good")]
    said = "\n".join(made.reasons)
    assert len(made.reasons) == 5
    assert "1 of epoch 1, which has been learned from already" in said
    assert f"1 on {run.id}/1/0000: the annotation says 'NOPE'" in said
    assert "1 of epoch 2, on images that have no such task here" in said
    assert "a control called 'quality' where the project has verdict" in said
    assert "1 tasks of other runs or of none" in said


def test_the_later_label_of_a_person_stands(importing, project, run):
    project.tasks[4]["annotations"] = [entry("bad", 1, "2026-04")]
    early, late = entry("good", at="2026-03"), entry("best", at="2026-05")
    made = importing([task(run, 1, 0, late, early)])
    assert [each.said["result"] for each in made.new] == [result("best")]
    assert f"1 by {ANN}, who has labelled the same in the project later" in made.reasons


def test_several_labels_of_a_person_come_in_their_order(importing, project, run):
    importing([task(run, 1, 0, entry("best", at="2026-03-02"), entry("bad", at="2026-03-01"))])
    assert [value for *_, value in project.made] == ["bad", "best"]


def test_numbers_count_only_where_the_file_is_this_servers(importing, project, run):
    importing([task(run, 1, 0, entry("good", 2))])
    assert project.made == [("1/0000", 2, "good")]
    other = {**task(run, 1, 1, entry("bad", 2)), "created_at": "2025-12-24"}
    with pytest.raises(BadInput, match=r"by numbers \(2\).*--annotator EMAIL"):
        importing([other])
    importing([other], ANN)
    assert project.made[-1] == ("1/0001", 1, "bad")


@pytest.mark.parametrize(
    ("annotators", "said"),
    [
        ((), "does not know eve@x, zoe@x; let them in with `hero invite eve@x zoe@x`"),
        ((ANN,), "labels of eve@x, zoe@x, who cannot all be ann@example.com"),
        ((f"eve@x={ANN}",), "does not know zoe@x"),
        (("eve@x=mallory@x",), "does not know mallory@x"),
        ((ANN, BOB), "two addresses say whose all labels are"),
    ],
)
def test_people_who_are_not_known_are_named_and_nothing_is_imported(
    importing, project, run, annotators, said
):
    with pytest.raises(BadInput) as refused:
        importing([task(run, 1, 0, entry("good", "eve@x"), entry("bad", "zoe@x"))], *annotators)
    assert said in str(refused.value)
    assert project.made == []


def test_people_with_other_accounts_here(importing, project, run):
    file = [task(run, 1, 0, entry("good", "eve@x"), entry("bad", 77), entry("best", None))]
    importing(file, f"eve@x={ANN}", f"77={BOB}", f"nobody={BOB}")
    assert [(who, value) for _, who, value in project.made] == [
        (1, "good"), (2, "bad"), (2, "best"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,verdict\n1,good", "it is no JSON"),
        ("{}", "no tasks with data and annotations"),
        ('[{"image": "a.png", "verdict": "good"}]', "not JSON-MIN"),
        ("[]", "its tasks are of no run"),
        (
            '[{"data": {"hero_image_id": "cat-ab12/0/0001"}, "annotations": []}]',
            "its tasks are of cat-ab12",
        ),
    ],
)
def test_a_wrong_file_says_what_it_is(importing, project, text, said):
    with pytest.raises(BadInput, match=said):
        importing(text)
    assert project.made == []


def test_a_file_that_is_not_there_or_says_nothing(importing, store, project, run, tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        plan(store, project, run, tmp_path / "nothing.json")
    with pytest.raises(BadInput, match="nothing in it is labelled"):
        importing([task(run, 1, 0)])
    with pytest.raises(BadInput, match=r"Nothing of .* was imported: 1 of epoch 1, which has been"):
        importing([task(run, 0, 0, entry("good"))])


def test_label_studio_lost_half_way_is_made_good_by_another_import(importing, project, run):
    file = [task(run, 1, index, entry("good")) for index in range(4)]
    project.down_after = 2
    with pytest.raises(LabelStudioUnreachable, match=r"2 of 4 annotations were imported; import"):
        importing(file)
    project.down_after = 1000
    made = importing(file)
    assert (len(made.new), made.present, len(project.made)) == (2, 2, 4)


@pytest.mark.parametrize("counted_from", [0, 1])
def test_tasks_are_known_by_their_name_however_their_epochs_are_counted(
    importing, run, project, counted_from
):
    old = task(run, 1, 2, entry("good"))
    old["data"] |= {"epoch": 1 + counted_from, "index": 2}
    importing([old])
    assert project.made == [("1/0002", 1, "good")]


@pytest.mark.parametrize("has_others", [True, False])
def test_what_the_projects_page_would_show_as_the_opposite_is_left_out(
    settings, store, config, tmp_path: Path, monkeypatch, has_others
):
    run = store.create_run(config, project_id=7, labelling=Labelling(layout="gallery"))
    run = open_epoch(settings, store, run, [])
    keys = [f"{run.id}/0/{index:04d}" for index in range(4)]
    page = task(run, 0, 0)
    page["data"] = {
        "hero_image_id": f"{run.id}/0/gallery",
        "images": [{"value": key} for key in keys],
    }
    said = [
        {"from_name": name, "type": "choices", "value": {"choices": choices}}
        for name, choices in (("good", keys[:1]), ("best", keys[1:2]), ("others", ["good"]))
    ]
    project = Project(run)
    project.tasks = [page]
    names = GalleryControls("prompt", has_others).names
    monkeypatch.setattr(project, "controls_of", lambda *_: names)
    file = tmp_path / "labels.json"
    file.write_text(json.dumps([{**page, "annotations": [entry("good", result=said)]}]))
    if has_others:
        assert len(plan(store, project, run, file).new) == 1
    else:
        with pytest.raises(BadInput, match="would show the opposite; put label_config_gallery"):
            plan(store, project, run, file)
