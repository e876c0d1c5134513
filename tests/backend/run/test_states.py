"""The state machine, as a table and as every sequence of events that hypothesis finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from backend.errors import WrongState
from backend.run.states import ACTIVE, ENDED, TRANSITIONS, Event, State, allowed_events, next_state

CIRCLE = {
    State.generating: {State.publishing},
    State.publishing: {State.labelling},
    State.labelling: {State.learning},
    State.learning: {State.generating, State.finished},
}
SIDE_DOORS = {State.paused, State.failed, State.stopped}


class AnyEvents(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.state: State = State.generating
        self.paused_from: State | None = None
        self.left: State | None = None

    @rule(event=st.sampled_from(Event))
    def happen(self, event: Event) -> None:
        before = self.state
        try:
            after, paused_from = next_state(before, event, self.paused_from)
        except WrongState as error:
            assert event not in allowed_events(before)
            assert str(before) in str(error)
            return
        assert event in allowed_events(before)
        if before in ACTIVE:
            assert after in CIRCLE[before] | SIDE_DOORS
        elif event is Event.resume:
            assert after is (State.publishing if self.left is State.labelling else self.left)
        elif event is Event.extend:
            assert (before, after) == (State.finished, State.generating)
        else:
            assert (before, event) in TRANSITIONS and after is State.stopped
        if after in (State.paused, State.failed):
            self.left = before
        self.state, self.paused_from = after, paused_from

    @invariant()
    def remembers_only_where_to_resume(self) -> None:
        assert (self.paused_from is not None) == (self.state in (State.paused, State.failed))
        assert self.paused_from in (None, *ACTIVE)


AnyEvents.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestAnyEvents = AnyEvents.TestCase


@pytest.mark.parametrize("state", ENDED)
@given(event=st.sampled_from(Event), paused_from=st.none() | st.sampled_from(State))
def test_only_more_epochs_lead_out_of_the_end(
    state: State, event: Event, paused_from: State | None
):
    if (state, event) == (State.finished, Event.extend):
        assert next_state(state, event, paused_from) == (State.generating, None)
        return
    possible = "extend" if state is State.finished else "it has ended"
    with pytest.raises(WrongState, match=possible):
        next_state(state, event, paused_from)


@pytest.mark.parametrize("state", ACTIVE)
@pytest.mark.parametrize("event", [Event.pause, Event.fail])
def test_resume_returns_to_where_it_was(state: State, event: Event):
    left, paused_from = next_state(state, event, None)
    there = State.publishing if state is State.labelling else state
    assert next_state(left, Event.resume, paused_from) == (there, None)


def test_the_circle():
    state = State.generating
    seen = []
    for event in (Event.batch_written, Event.published, Event.labelled, Event.learned):
        state, _ = next_state(state, event, None)
        seen.append(state)
    assert seen == [State.publishing, State.labelling, State.learning, State.generating]


def test_the_refusal_says_what_is_possible():
    with pytest.raises(WrongState, match=r"Cannot advance a run that is paused.*resume, stop"):
        next_state(State.paused, Event.advance, State.labelling)
