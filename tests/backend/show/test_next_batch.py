"""How long it takes until people have something to do again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backend.run.records import Epoch, Run
from backend.run.states import State
from backend.show.next_batch import seconds_left, share_done
from backend.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def run(store: Store, config: dict[str, object]) -> Run:
    return replace(store.create_run(config), epoch=0)


def at(run: Run, state: State, seconds: float, **fields: object) -> Run:
    return replace(run, state=state, updated_at=NOW - timedelta(seconds=seconds), **fields)


def epoch_of(**seconds: float) -> Epoch:
    return Epoch("run", 0, NOW, NOW, NOW, NOW, seconds, None, None, None)


def test_as_long_as_the_last_time(run: Run):
    epochs = [epoch_of(generating=20.0, publishing=1.0, labelling=900.0, learning=60.0)]
    assert seconds_left(at(run, State.learning, 15), epochs, NOW) == 45 + 20 + 1
    assert seconds_left(at(run, State.generating, 5), epochs, NOW) == 15 + 1
    assert seconds_left(at(run, State.publishing, 0.5), epochs, NOW) == 0.5
    assert seconds_left(at(run, State.learning, 100), epochs, NOW) == 20 + 1


def test_after_the_last_epoch_nothing_is_drawn(run: Run):
    epochs = [epoch_of(generating=20.0, publishing=1.0, learning=60.0)]
    assert seconds_left(at(run, State.learning, 15, epoch=1), epochs, NOW) == 45


def test_the_first_time_as_the_trial_found_or_at_the_pace_so_far(run: Run):
    drawn = [epoch_of(generating=20.0, publishing=1.0)]
    tried = {"drawing_seconds": 18.0, "learning_seconds": 40.0}
    assert seconds_left(at(run, State.learning, 10, forecast=tried), drawn, NOW) == 30 + 20 + 1
    counted = at(run, State.learning, 10, stage_done=1, stage_total=4)
    assert seconds_left(counted, drawn, NOW) == 30 + 20 + 1
    assert seconds_left(at(run, State.learning, 10), drawn, NOW) is None
    assert seconds_left(at(run, State.generating, 10), [], NOW) is None


def test_while_people_label_nobody_waits(run: Run):
    for state in (State.labelling, State.paused, State.finished):
        assert seconds_left(at(run, state, 10), [epoch_of(learning=60.0)], NOW) is None


def test_the_share_that_is_over(run: Run):
    learning = at(run, State.learning, 15)
    assert share_done(learning, 45.0, NOW) == 0.25
    assert share_done(learning, 0.0, NOW) == 1.0
    assert share_done(learning, None, NOW) is None
