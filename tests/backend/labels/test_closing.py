"""An epoch is closed with all its labels, or early; what it was closed with stays."""

from dataclasses import replace

import pytest

from backend.errors import LeaseLost, NotEnoughFeedback, WrongState
from backend.labels import closing
from backend.labels.closing import advance, check_feedback, close_if_labelled
from backend.labels.collect import reconcile
from backend.labels.progress import count_labels, decide_epoch
from backend.run.records import Claim, Run
from backend.run.states import Event, State
from backend.store import Store
from tests.backend.conftest import CONFIG
from tests.backend.fake_label_studio import FakeLabelStudio


class TestClosing:
    def test_complete(self, store: Store, source: FakeLabelStudio, run: Run):
        source.label_all(["good", "bad", "best", "bad"], 0)
        reconcile(store, source, run)
        assert close_if_labelled(store, run).state is State.learning

    @pytest.mark.parametrize(
        "values", [["good", "bad", "good", "bad"], ["best", "bad", "bad", "NOPE"]]
    )
    def test_not_complete(self, store: Store, source: FakeLabelStudio, run: Run, values: list[str]):
        source.label_all(values, 0)
        reconcile(store, source, run)
        assert close_if_labelled(store, run).state is State.labelling

    def test_all_bad(self, store: Store, source: FakeLabelStudio, run: Run):
        source.label_all(["bad"] * 4, 0)
        reconcile(store, source, run)
        assert close_if_labelled(store, run).state is State.learning

    def test_advance_fetches_first(self, store: Store, source: FakeLabelStudio, run: Run):
        source.annotate(100, "good")
        source.annotate(101, "bad")
        assert advance(store, source, run).state is State.learning
        assert len(store.annotations(run.id)) == 2

    @pytest.mark.parametrize(
        ("values", "lacking"), [([], "good"), (["good"], "bad"), (["bad", "bad"], "good")]
    )
    def test_advance_needs_something_to_compare(
        self, store: Store, source: FakeLabelStudio, run: Run, values: list[str], lacking: str
    ):
        for index, value in enumerate(values):
            source.annotate(100 + index, value)
        with pytest.raises(NotEnoughFeedback, match=f"none of them is {lacking}"):
            advance(store, source, run)
        assert store.run(run.id).state is State.labelling

    @pytest.mark.parametrize("value", ["good", "bad"])
    def test_a_whole_epoch_of_one_kind_may_advance(
        self, store: Store, source: FakeLabelStudio, run: Run, value: str
    ):
        source.label_all([value] * 4, 0)
        reconcile(store, source, run)
        check_feedback(run, count_labels(store, run.id, 0))

    def test_advance_of_a_run_that_is_not_labelled(self, store: Store, source: FakeLabelStudio):
        with pytest.raises(WrongState, match="generating"):
            advance(store, source, store.create_run(CONFIG))


class TestFreezing:
    @pytest.fixture
    def claim(self, store: Store, source: FakeLabelStudio, run: Run) -> Claim:
        source.label_all(["good", "bad", "best", "bad"], 0)
        reconcile(store, source, run)
        store.transition(run, Event.advance)
        claim = store.claim("worker", 60)
        assert claim is not None
        return claim

    def test_what_comes_while_it_is_decided_counts(
        self, store: Store, source: FakeLabelStudio, claim: Claim, monkeypatch: pytest.MonkeyPatch
    ):
        seen = []

        def decide(*args: object) -> object:
            seen.append([row.value for row in args[3]])  # type: ignore[attr-defined]
            if len(seen) == 1:
                first, *_ = store.annotations(claim.run.id, 0)
                source.change(first.ls_id, "bad")
                reconcile(store, source, claim.run)
            return decide_epoch(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(closing, "decide_epoch", decide)
        closing.freeze(store, claim)
        assert seen == [["good", "bad", "best", "bad"], ["bad", "bad", "best", "bad"]]
        verdicts = [image.verdict for image in store.images(claim.run.id, 0)]
        assert verdicts == ["bad", "bad", "best", "bad"]
        rows = store.annotations(claim.run.id, 0)
        assert all(row.frozen and not row.late for row in rows)

    def test_other_annotations_than_decided_from_change_nothing(self, store: Store, claim: Claim):
        rows = store.annotations(claim.run.id, 0)
        decision = decide_epoch(store, claim.run, 0, rows)
        assert not store.freeze(claim, rows[1:], decision)
        assert not store.freeze(claim, [replace(rows[0], value="bad"), *rows[1:]], decision)
        assert not store.is_frozen(claim.run.id, 0)
        assert store.freeze(claim, reversed(rows), decision)
        assert store.is_frozen(claim.run.id, 0)

    def test_what_is_frozen_stays(self, store: Store, source: FakeLabelStudio, claim: Claim):
        closing.freeze(store, claim)
        before = store.images(claim.run.id, 0), store.annotations(claim.run.id, 0)
        closed = store.epochs(claim.run.id)[0]
        assert store.freeze(claim, [], decide_epoch(store, claim.run, 0, []))
        assert (store.images(claim.run.id, 0), store.annotations(claim.run.id, 0)) == before
        assert store.epochs(claim.run.id)[0] == closed

    def test_a_worker_that_lost_the_run_freezes_nothing(self, store: Store, claim: Claim):
        store.transition(claim.run.id, Event.pause)
        with pytest.raises(LeaseLost):
            closing.freeze(store, claim)
        assert not store.is_frozen(claim.run.id, 0)
        assert [image.verdict for image in store.images(claim.run.id, 0)] == [None] * 4
