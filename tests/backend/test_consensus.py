"""Votes to verdicts."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.consensus import choose_best, decide, latest_votes, majority

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Vote:
    ls_id: int
    index: int
    annotator_id: int | None
    value: str | None
    updated_at: datetime = START
    deleted: bool = False


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([], None),
        (["good"], "good"),
        (["best"], "good"),
        (["bad"], "bad"),
        (["good", "bad"], "bad"),
        (["good", "bad", "best"], "good"),
        (["bad", "bad", "good"], "bad"),
    ],
)
def test_majority(values, verdict):
    assert majority(values)[0] == verdict


def test_a_tie_is_bad_and_the_reason_says_so():
    assert majority(["good", "bad"]) == ("bad", "1 of 2 good, a tie counts as bad")


@pytest.mark.parametrize(
    ("votes", "best", "reason"),
    [
        ([["good"], ["bad"]], None, "nobody"),
        ([["good"], ["best"]], 1, "most best-votes"),
        ([["best"], ["best", "best"]], 1, "most best-votes"),
        ([["best", "bad"], ["best", "good"]], 1, "share of good votes"),
        ([["bad"], ["best"], ["best"]], 1, "the first of 2"),
    ],
)
def test_best(votes, best, reason):
    chosen, why = choose_best(votes)
    assert chosen == best
    assert reason in why


def test_the_best_image_counts_as_good_even_against_a_tie():
    decision = decide([Vote(1, 0, 1, "best"), Vote(2, 0, 2, "bad"), Vote(3, 1, 1, "bad")], 2)
    assert decision.verdicts == ("best", "bad")
    assert decision.complete


def test_only_a_persons_latest_annotation_counts():
    votes = [
        Vote(1, 0, 7, "good", START),
        Vote(2, 0, 7, "bad", START + timedelta(seconds=1)),
        Vote(3, 0, 8, "good", START),
    ]
    assert {vote.ls_id for vote in latest_votes(votes)} == {2, 3}


def test_a_skip_takes_the_earlier_label_back():
    votes = [Vote(1, 0, 7, "good"), Vote(2, 0, 7, None, START + timedelta(seconds=1))]
    assert decide(votes, 1).verdicts == (None,)


def test_deleting_the_later_one_brings_the_earlier_back():
    votes = [Vote(1, 0, 7, "good"), Vote(2, 0, 7, "bad", START + timedelta(1), deleted=True)]
    assert decide(votes, 1).verdicts == ("good",)


def test_all_bad_is_complete_without_a_best():
    assert decide([Vote(1, 0, 1, "bad"), Vote(2, 1, 1, "bad")], 2).complete


def test_labelled_without_a_best_is_not_complete():
    decision = decide([Vote(1, 0, 1, "good"), Vote(2, 1, 1, "bad")], 2)
    assert decision.labelled == 2
    assert not decision.complete


votes = st.lists(
    st.builds(
        Vote,
        ls_id=st.integers(1, 10**6),
        index=st.integers(0, 4),
        annotator_id=st.none() | st.integers(1, 3),
        value=st.sampled_from(["good", "bad", "best", None]),
        updated_at=st.integers(0, 5).map(lambda s: START + timedelta(seconds=s)),
        deleted=st.booleans(),
    ),
    unique_by=lambda vote: vote.ls_id,
)


@given(votes, st.randoms(use_true_random=False))
def test_order_does_not_matter(annotations, random):
    shuffled = list(annotations)
    random.shuffle(shuffled)
    assert decide(shuffled, 5) == decide(annotations, 5)


@given(votes)
def test_a_decision_is_consistent(annotations):
    decision = decide(annotations, 5)
    assert decision.verdicts.count("best") == (decision.best_index is not None)
    if decision.best_index is not None:
        assert decision.verdicts[decision.best_index] == "best"
        counted = latest_votes(annotations)
        assert any(v.index == decision.best_index and v.value == "best" for v in counted)
    judged = {vote.index for vote in latest_votes(annotations)}
    assert {i for i, verdict in enumerate(decision.verdicts) if verdict} == judged
