"""A change of state happens with all its rows, or not at all."""

from dataclasses import replace

import pytest

from backend.errors import RunChanged, WrongState
from backend.run.records import Claim
from backend.run.states import Event, State
from backend.store import Store
from tests.backend.conftest import CONFIG, Clock
from tests.backend.store.carried import PATHS, carry_to_learning, claimed


class TestTransitions:
    def test_a_whole_epoch(self, store: Store, clock: Clock):
        claim = carry_to_learning(store, clock, ["good", "bad", "best", "bad"])
        run = store.learned(claim, {"seconds": {"update": 2.0}}, [0.9, 0.1, 1.0, 0.2], 3.0)
        assert (run.state, run.epoch) == (State.generating, 1)
        epoch = store.epochs(run.id)[0]
        assert epoch.best_index == 2
        assert epoch.report == {"seconds": {"update": 2.0}}
        assert epoch.seconds == {
            "generating": 1.5,
            "publishing": 0.5,
            "labelling": 0.0,
            "learning": 3.0,
            "update": 2.0,
        }
        images = store.images(run.id, 0)
        assert [image.verdict for image in images] == ["good", "bad", "best", "bad"]
        assert [image.reward for image in images] == [0.9, 0.1, 1.0, 0.2]
        assert [image.task_id for image in images] == [100, 101, 102, 103]

    def test_the_last_epoch_finishes_the_run(self, store: Store, clock: Clock):
        carry_to_learning(store, clock, ["good", "bad", "best", "bad"])
        run = store.runs()[0]
        store.learned(Claim(run, "a", run.fencing_token, 60), {}, [], 1.0)
        claim = claimed(store) if store.run(run.id).lease_owner is None else None
        run = store.run(run.id)
        claim = claim or Claim(run, "a", run.fencing_token, 60)
        run = store.batch_written(replace(claim, run=run), PATHS, [0.1, 0.2, 0.3, 0.4], 1.0)
        run = store.published(replace(claim, run=run), {}, 1.0)
        run = store.transition(run, Event.advance)
        run = store.learned(claimed(store), {}, [], 1.0)
        assert (run.state, run.epoch) == (State.finished, 2)
        assert run.lease_owner is None

    @pytest.mark.parametrize(
        ("until", "enough", "state"),
        [
            (0.95, True, State.finished),
            (0.95, False, State.generating),
            ("never", True, State.generating),
        ],
    )
    def test_a_run_ends_when_it_is_good_enough_if_it_is_to(
        self, store: Store, clock: Clock, until: object, enough: bool, state: State
    ):
        claim = carry_to_learning(store, clock, ["good"] * 4, until=until)
        run = store.learned(claim, {"good_enough": enough}, [], 1.0)
        assert run.state is state
        assert run.epoch == 1

    def test_a_finished_run_goes_on_for_more_epochs_whatever_its_labels_say(
        self, store: Store, clock: Clock
    ):
        claim = carry_to_learning(store, clock, ["good"] * 4, until=0.95)
        run = store.extend(store.learned(claim, {"good_enough": True}, [], 1.0), 3)
        assert (run.state, run.epoch, run.epochs) == (State.generating, 1, 4)
        assert not run.ends_when_good_enough
        with pytest.raises(WrongState, match="Cannot extend"):
            store.extend(run, 1)

    def test_a_stale_read_changes_nothing(self, store: Store):
        run = store.create_run(CONFIG)
        store.transition(run, Event.pause)
        with pytest.raises(RunChanged, match="generating to paused"):
            store.transition(run, Event.fail)
        assert store.run(run.id).state is State.paused

    def test_a_stale_version_of_the_same_state_changes_nothing(self, store: Store):
        run = store.create_run(CONFIG)
        paused = store.transition(run, Event.pause)
        store.transition(paused, Event.resume)
        with pytest.raises(RunChanged):
            store.transition(run, Event.pause)

    def test_by_id_whatever_the_state(self, store: Store):
        run = store.create_run(CONFIG)
        store.transition(run.id, Event.pause)
        assert store.transition(run.id, Event.resume).state is State.generating

    def test_a_failure_is_shown_until_it_is_resumed(self, store: Store):
        run = store.create_run(CONFIG)
        failed = store.transition(run, Event.fail, error="The disk is full.")
        assert (failed.error, failed.paused_from) == ("The disk is full.", State.generating)
        resumed = store.transition(failed, Event.resume)
        assert (resumed.error, resumed.paused_from) == (None, None)

    def test_a_refused_event_changes_nothing(self, store: Store):
        run = store.create_run(CONFIG)
        with pytest.raises(WrongState):
            store.transition(run, Event.learned)
        assert store.run(run.id) == run

    def test_a_failing_write_rolls_the_state_back(self, store: Store):
        store.create_run(CONFIG)
        claim = claimed(store)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate|not null|null value"):
            store.batch_written(claim, ["a", None], None, 1.0)  # type: ignore[list-item]
        run = store.run(claim.run.id)
        assert run.state is State.generating
        assert store.epochs(run.id) == [] and store.images(run.id) == []
