"""Runs are made and found; each has a project of its own."""

import pytest
from sqlalchemy.exc import IntegrityError

from backend.errors import ProjectTaken, RunAmbiguous, RunNotFound
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from tests.backend.conftest import CONFIG, Clock
from tests.backend.store.carried import carry_to_labelling


class TestRuns:
    def test_an_id_is_made_of_the_prompts_words(self, store: Store):
        run = store.create_run(CONFIG)
        assert run.id.startswith("blue-rose-vase-")
        assert (run.state, run.version, run.epoch) == (State.generating, 0, 0)
        assert store.run(run.id) == run

    @pytest.mark.parametrize("prompt", ["photo of a", "???", "x" * 500, "Ünïcødé", "a/../b"])
    def test_an_id_is_a_safe_file_name(self, prompt: str):
        run_id = Store.new_run_id(prompt)
        assert run_id.replace("-", "").isalnum() and run_id.isascii() and len(run_id) < 64

    def test_a_prefix_is_enough(self, store: Store):
        store.create_run(CONFIG, run_id="rose-aaaa")
        store.create_run(CONFIG, run_id="rose-aabb")
        assert store.run("rose-aab").id == "rose-aabb"
        with pytest.raises(RunAmbiguous, match="rose-aaaa, rose-aabb"):
            store.run("rose")

    def test_latest_is_the_newest(self, store: Store, clock: Clock):
        with pytest.raises(RunNotFound):
            store.run("latest")
        store.create_run(CONFIG, run_id="rose-1")
        clock.pass_seconds(1)
        newest = store.create_run(CONFIG, run_id="rose-2")
        assert store.run("latest") == newest

    def test_a_whole_id_wins_over_a_longer_one(self, store: Store):
        store.create_run(CONFIG, run_id="rose")
        store.create_run(CONFIG, run_id="rose-2")
        assert store.run("rose").id == "rose"

    @pytest.mark.parametrize("name", ["", "nope", "%", "_"])
    def test_no_such_run(self, store: Store, name: str):
        store.create_run(CONFIG)
        with pytest.raises(RunNotFound, match="hero runs"):
            store.run(name)

    def test_the_newest_comes_first(self, store: Store, clock: Clock):
        first = store.create_run(CONFIG)
        clock.pass_seconds(1)
        second = store.create_run(CONFIG)
        assert [run.id for run in store.runs()] == [second.id, first.id]

    def test_the_run_of_a_project(self, store: Store):
        run = store.create_run(CONFIG, project_id=7)
        assert store.run_of_project(7) == run
        assert store.run_of_project(8) is None

    def test_a_project_has_one_run(self, store: Store):
        first = store.create_run(CONFIG, project_id=7)
        with pytest.raises(ProjectTaken, match=f"project 7 .* the run {first.id} has it"):
            store.create_run(CONFIG, project_id=7)
        second = store.create_run(CONFIG)
        with pytest.raises(ProjectTaken, match=second.id) as caught:
            store.set_project(second.id, 7, "http://ls/projects/7")
        assert (caught.value.exit_status, caught.value.http_status) == (2, 409)
        assert store.run(second.id) == second
        assert store.set_project(first.id, 7, "http://ls/projects/7").project_id == 7
        assert len(store.runs()) == 2

    def test_an_id_that_is_there_already_is_not_a_taken_project(self, store: Store):
        run = store.create_run(CONFIG, project_id=7)
        with pytest.raises(IntegrityError):
            store.create_run(CONFIG, run_id=run.id, project_id=7)

    def test_where_the_runs_stand(self, store: Store):
        first, second = store.create_run(CONFIG), store.create_run(CONFIG)
        store.transition(first, Event.pause)
        assert store.states() == {first.id: State.paused, second.id: State.generating}

    def test_records_survive_reopening(self, database_url: str, store: Store):
        run = carry_to_labelling(store, project_id=3)
        again = Store.connect(database_url)
        assert again.run(run.id) == run
        assert again.images(run.id, 0) == store.images(run.id, 0)
        again.close()


def test_links_lead_to_where_label_studio_stands_now(settings: Settings):
    at = settings.model_copy(update={"label_studio_url": "http://old:8080"})
    store = Store.open(at)
    first = store.create_run(CONFIG, project_id=7, project_url="http://old:8080/projects/7")
    lonely = store.create_run(CONFIG)
    store.close()
    moved = at.model_copy(update={"label_studio_public_url": "https://new/ls"})
    store = Store.open(moved)
    assert store.run(first.id).project_url == "https://new/ls/projects/7"
    assert store.run(lonely.id).project_url is None
    store.close()
    store = Store.open(settings.model_copy(update={"label_studio_url": ""}))
    assert store.run(first.id).project_url == "https://new/ls/projects/7"
    store.close()
