"""Which images stand in the tab for leads, and when Label Studio is asked to change it."""

from dataclasses import replace

import pytest

from backend.errors import LabelStudioRefused
from backend.label_studio.tabs import tab_of
from backend.labels.disagreements_tab import TITLE, Disagreements, differing, task_keys
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.store import Store
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.votes import annotations

PLAN = Labelling(annotators_per_image=2, adjudicators="lead@x")


def found(*images: str, plan: Labelling = PLAN) -> list[int]:
    return [index for _, index in differing(annotations("run", *images), plan)]


def test_the_images_on_which_votes_differ():
    assert found("gg", "gb", "tg", "b-", "bb", "xg", "ggb") == [1, 2, 6]


def test_votes_that_do_not_count_make_no_difference():
    assert found("gb", plan=Labelling(annotators="p1@x")) == []


def test_an_adjudicators_vote_takes_the_image_out():
    rows = annotations("run", "gb", "gb")
    lead = replace(rows[0], ls_id=99, annotator_id=9, annotator="lead@x", value="good")
    assert differing([*rows, lead], PLAN) == [(0, 1)]


def test_a_late_change_of_mind_counts_here():
    [one, two] = annotations("run", "gb", frozen=True)
    assert differing([one, replace(two, late=True, late_value="good")], PLAN) == []


@pytest.fixture
def run(store: Store, config) -> Run:
    return store.create_run(config, labelling=PLAN, project_id=7)


def test_a_gallery_has_one_task_an_epoch(run: Run):
    assert task_keys(run, [], [(0, 1), (0, 3), (1, 2)]) == [
        f"{run.id}/0/0001",
        f"{run.id}/0/0003",
        f"{run.id}/1/0002",
    ]
    page = replace(run, labelling=Labelling(layout="gallery"))
    assert task_keys(page, [], [(0, 1), (0, 3), (1, 2)]) == [
        f"{run.id}/0/gallery",
        f"{run.id}/1/gallery",
    ]


def test_label_studio_is_asked_only_when_the_set_changed(store: Store, run: Run):
    source, tabs = FakeLabelStudio(), Disagreements(store)
    tabs.show(source, run, changed=False)
    assert (source.tabs, source.requests) == ({TITLE: []}, 1)
    store.merge_annotations(run.id, 0, lambda *_: annotations(run.id, "gb", "gg"))
    tabs.show(source, run, changed=True)
    assert source.tabs == {TITLE: [f"{run.id}/0/0000"]}
    tabs.show(source, run, changed=True)
    tabs.show(source, run, changed=False)
    assert source.requests == 2


def test_a_label_studio_that_refuses_is_asked_again_and_fails_nothing(store: Store, run: Run):
    class Refusing(FakeLabelStudio):
        def show_tab(self, *_):
            raise LabelStudioRefused("Cannot show the tab.")

    tabs = Disagreements(store)
    tabs.show(Refusing(), run, changed=False)
    source = FakeLabelStudio()
    tabs.show(source, run, changed=False)
    assert source.requests == 1


@pytest.mark.parametrize(
    ("keys", "pattern"),
    [
        ([], "^()$"),
        (["run/0/0003"], "^(run/0/0003)$"),
        (["run/0/0003", "run/1/0001"], "^(run/0/0003|run/1/0001)$"),
    ],
)
def test_the_tabs_filter(keys, pattern):
    [item] = tab_of("x", keys)["filters"]["items"]
    assert item["value"] == pattern
