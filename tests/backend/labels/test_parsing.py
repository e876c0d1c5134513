"""What one annotation of Label Studio's says, in either layout."""

from typing import Any

import pytest

from backend.labels.parsing import read
from backend.run.labelling import Labelling
from backend.run.records import Annotation, TaskLabels
from backend.store import Store
from backend.tasks.images import image_key
from tests.backend.conftest import CONFIG
from tests.backend.fake_label_studio import page, result

PEOPLE = {1: "ann@example.com"}


def whole(**fields: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "result": result("good"),
        "was_cancelled": False,
        "completed_by": 1,
        "lead_time": 2.5,
        "created_at": "2026-11-23T06:17:26.700722Z",
        "updated_at": "2026-11-23T06:17:27.700722Z",
        **fields,
    }


@pytest.mark.parametrize(
    ("editor", "adjudicators", "whose"),
    [
        (2, "bob@example.com", 2),
        (2, (), 1),
        (1, "bob@example.com", 1),
        (None, "bob@example.com", 1),
        (2, "ann@example.com", 1),
    ],
)
def test_what_an_adjudicator_changed_is_the_adjudicators(store: Store, editor, adjudicators, whose):
    run = store.create_run(CONFIG, labelling=Labelling(adjudicators=adjudicators))
    people = {1: "ann@example.com", 2: "bob@example.com"}
    [row] = read(run, TaskLabels(100, 0, (3,)), whole(updated_by=editor), people)
    assert (row.annotator_id, row.annotator) == (whose, people[whose])


class TestImages:
    @pytest.fixture(autouse=True)
    def run(self, store: Store) -> None:
        self.of_run = store.create_run(CONFIG)

    def annotation(self, **fields: Any) -> Annotation:
        [row] = read(self.of_run, TaskLabels(100, 0, (3,)), whole(**fields), PEOPLE)
        return row

    def test_a_label(self):
        row = self.annotation()
        assert (row.ls_id, row.epoch, row.index, row.task_id) == (5, 0, 3, 100)
        assert (row.value, row.annotator, row.lead_time) == ("good", "ann@example.com", 2.5)
        assert row.updated_at > row.created_at

    def test_a_skip_is_no_problem_and_no_value(self):
        row = self.annotation(was_cancelled=True, result=[])
        assert (row.value, row.problem, row.was_cancelled) == (None, None, True)

    @pytest.mark.parametrize(
        "strange",
        [
            result("NOPE"),
            [],
            None,
            "text",
            [{"type": "choices", "value": {"choices": ["good", "bad"]}}],
            [{"type": "choices", "value": None}],
            [{"type": "choices"}],
            [{"type": "rating", "value": {"rating": 4}}],
            [None, 3],
        ],
    )
    def test_what_is_no_verdict_is_kept_as_a_problem(self, strange: Any):
        row = self.annotation(result=strange)
        assert row.value is None
        assert row.problem is not None and "correct it in Label Studio" in row.problem

    def test_the_problem_names_the_value(self):
        assert "'NOPE'" in str(self.annotation(result=result("NOPE")).problem)

    def test_other_controls_of_the_page_do_not_disturb(self):
        others = [{"type": "textarea", "value": {"text": ["nice"]}}, *result("bad")]
        assert self.annotation(result=others).value == "bad"

    @pytest.mark.parametrize("said", ["good", "bad", "best"])
    def test_another_question_with_the_same_answers_is_no_verdict(self, said: str):
        hands = {"from_name": "hands", "type": "choices", "value": {"choices": [said]}}
        task = TaskLabels(100, 0, (3,), control="verdict")
        [both] = read(self.of_run, task, whole(result=[hands, *result("bad")]), PEOPLE)
        assert (both.value, both.problem) == ("bad", None)
        [alone] = read(self.of_run, task, whole(result=[hands]), PEOPLE)
        assert alone.value is None
        assert "the annotation says nothing" in str(alone.problem)

    def test_a_person_may_be_given_whole(self):
        assert self.annotation(completed_by={"id": 1}).annotator_id == 1

    def test_an_unknown_person_stays_a_number(self):
        row = self.annotation(completed_by=77)
        assert (row.annotator_id, row.annotator) == (77, None)


class TestPages:
    @pytest.fixture(autouse=True)
    def run(self, store: Store) -> None:
        self.of_run = store.create_run(CONFIG, labelling=Labelling(layout="gallery"))

    def rows(self, **fields: Any) -> list[Annotation]:
        return read(self.of_run, TaskLabels(100, 0, (0, 2, 3)), whole(**fields), PEOPLE)

    def test_a_row_an_image_on_the_page(self):
        rows = self.rows(result=page(self.of_run.id, 0, {2: "good", 3: "best"}))
        assert [(row.index, row.value) for row in rows] == [(0, "bad"), (2, "good"), (3, "best")]
        assert {(row.ls_id, row.lead_time, row.annotator) for row in rows} == {
            (5, 2.5, "ann@example.com")
        }

    def test_a_skipped_page_takes_back_every_image(self):
        rows = self.rows(was_cancelled=True, result=[])
        assert [(row.value, row.problem) for row in rows] == [(None, None)] * 3

    @pytest.mark.parametrize("strange", [[], None, result("good")])
    def test_a_page_that_says_nothing_is_a_problem_of_each(self, strange: Any):
        rows = self.rows(result=strange)
        assert [row.value for row in rows] == [None] * 3
        assert all(row.problem for row in rows)

    def test_an_image_of_another_page(self):
        strange = page(self.of_run.id, 0, {1: "good"})
        [problem] = {row.problem for row in self.rows(result=strange)}
        assert image_key(self.of_run.id, 0, 1) in str(problem)
