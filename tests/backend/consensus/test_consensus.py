"""Votes to verdicts."""

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.consensus import decide, latest_votes
from backend.run.labelling import Labelling
from tests.backend.votes import START, Vote, ballots, values

LATER = START + timedelta(seconds=1)
POLICIES = ("majority", "any-good", "all-good", "dawid-skene")


def verdicts(*images: str, **plan) -> str:
    return values(decide(ballots(*images), len(images), Labelling(**plan)).verdicts)


# -- which votes count ---------------------------------------------------------------------


def test_only_a_persons_latest_annotation_counts():
    votes = [
        Vote(1, 0, 7, "good", START),
        Vote(2, 0, 7, "bad", LATER),
        Vote(3, 0, 8, "good", START),
    ]
    assert {vote.ls_id for vote in latest_votes(votes)} == {2, 3}


@pytest.mark.parametrize("value", [None, "NOPE"])
def test_a_skip_or_an_unknown_value_takes_the_earlier_label_back(value):
    votes = [Vote(1, 0, 7, "good"), Vote(2, 0, 7, value, LATER)]
    assert decide(votes, 1).verdicts == (None,)


def test_deleting_the_later_one_brings_the_earlier_back():
    votes = [Vote(1, 0, 7, "good"), Vote(2, 0, 7, "bad", START + timedelta(1), deleted=True)]
    assert decide(votes, 2).verdicts == ("good", None)


def test_votes_without_an_account_are_one_persons():
    votes = [Vote(1, 0, None, "good"), Vote(2, 0, None, "bad", LATER)]
    decision = decide(votes, 1, Labelling(annotators_per_image=2))
    assert decision.verdicts == ("bad",)
    assert decision.labelled == 0


def test_only_the_named_annotators_votes_count_however_they_are_spelt():
    plan = Labelling(annotators="P1@X, p2@x", adjudicators="lead@x")
    votes = [*ballots("gg"), Vote(9, 0, 9, "bad", annotator="stranger@x")]
    assert [vote.annotator for vote in latest_votes(votes, plan)] == ["p1@x", "p2@x"]
    assert not latest_votes([Vote(9, 0, 9, "bad", annotator=None)], plan)


def test_an_image_that_is_none_of_the_epochs_is_left_out():
    assert decide([Vote(1, 5, 1, "good")], 2).verdicts == (None, None)


# -- policies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "images", "expected"),
    [
        ("majority", ["g", "b", "gb", "ggb", "gbb", "ggbb"], "gbbgbb"),
        ("any-good", ["g", "b", "gb", "ggb", "gbb", "bbb"], "gbgggb"),
        ("all-good", ["g", "b", "gb", "ggb", "gbb", "ggg"], "gbbbbg"),
        ("dawid-skene", ["ggg", "ggg", "bbb"], "ggb"),
    ],
)
def test_policies(policy, images, expected):
    assert verdicts(*images, consensus=policy) == expected


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("majority", "1 of 2 good, a tie counts as bad"),
        ("any-good", "1 of 2 good, one suffices"),
        ("all-good", "1 of 2 good, all are needed"),
    ],
)
def test_the_reason_says_how_it_was_decided(policy, reason):
    decision = decide(ballots("gb"), 1, Labelling(consensus=policy))
    assert decision.reasons == (reason,)
    assert decision.by == ("people",)


@pytest.mark.parametrize("policy", POLICIES)
def test_crowd_kit_is_not_loaded_where_nothing_has_to_be_merged(policy):
    code = (
        "import sys; from backend.consensus import decide;"
        "from backend.run.labelling import Labelling;"
        "from tests.backend.votes import ballots;"
        f"decide(ballots('g', 'b', 'gg', 't'), 4, Labelling(consensus={policy!r}));"
        "sys.exit('crowdkit' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- the best ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "predictions", "best", "reason"),
    [
        (["g", "g"], (), None, "nobody chose"),
        (["g", "-"], (), None, "nobody chose"),
        (["g", "b"], (), 0, "the only good image"),
        (["g", "t"], (), 1, "most votes for the best (1)"),
        (["tgg", "gtt"], (), 1, "most votes for the best (2)"),
        (["tgb", "gtg"], (), 1, "largest share of good votes (100%) of 2 images"),
        (["gt", "tg"], (0.1, 0.2), 1, "most like the best so far (0.20) of 2 images"),
        (["gt", "tg"], (0.2, 0.2), 0, "the first of 2 images"),
        (["gt", "tg"], (), 0, "the first of 2 images"),
        (["bbt", "ggg", "ggg"], (), None, "every image that was chosen as the best is bad"),
        (["bbt", "ggg"], (), 1, "the only good image"),
        (["bbt", "tgg"], (), 1, "most votes for the best (1)"),
    ],
)
def test_best(images, predictions, best, reason):
    decision = decide(ballots(*images), len(images), predictions=predictions)
    assert decision.best_index == best
    assert reason in decision.best_reason
    assert decision.verdicts.count("best") == (best is not None)


@pytest.mark.parametrize(
    ("images", "candidates"),
    [
        (["g", "b", "g"], (0, 2)),  # a forgotten best
        (["t", "b", "g"], ()),
        (["t", "b", "t"], (0, 2)),  # one person calls two the best
        (["t", "-t", "g"], (0, 1)),  # two people share the images, each has a best
        (["tg", "gt", "gg"], (0, 1)),
        (["tgg", "gtt", "ggg"], ()),
        (["tgb", "gtg", "ggg"], ()),  # the share of good votes decides
        (["bbt", "ggg", "ggg"], (1, 2)),
        (["b", "b", "b"], ()),
        (["g", "b", "b"], ()),
    ],
)
def test_people_are_asked_where_the_best_is_not_clear(images, candidates):
    decision = decide(ballots(*images), 3)
    assert decision.undecided == candidates
    assert decision.complete is not bool(candidates)


def test_an_answer_decides_and_judges_nothing_else():
    votes = ballots("tb", "gt", "gg")
    picked = replace(votes[-1], ls_id=999, index=2, value="best", pick=True, updated_at=LATER)
    decision = decide([*votes, picked], 3)
    assert (decision.best_index, decision.undecided) == (2, ())
    assert "asked for the best: p2@x" in decision.best_reason
    assert decision.voters == decide(votes, 3).voters
    assert (999, 2) in decision.counted


def test_an_answer_that_does_not_count_decides_nothing():
    votes = ballots("g", "g")
    answer = replace(votes[0], ls_id=999, value="best", pick=True)
    for useless in (
        replace(answer, deleted=True),
        replace(answer, value=None),
        replace(answer, index=1, annotator="stranger@x"),
    ):
        plan = Labelling(annotators=("p1@x",))
        assert decide([*votes, useless], 2, plan).undecided == (0, 1)
    bad = decide([*ballots("b", "g", "g"), answer], 3)
    assert bad.undecided == (1, 2)


def test_an_adjudicators_answer_outweighs_the_others():
    votes = ballots("g", "g")
    answer = replace(votes[0], pick=True, value="best")
    said = [
        replace(answer, ls_id=900 + n, index=index, annotator_id=n, annotator=who)
        for n, (index, who) in enumerate([(0, "a@x"), (0, "b@x"), (1, "lead@x")])
    ]
    assert decide([*votes, *said], 2).best_index == 0
    assert decide([*votes, *said], 2, Labelling(adjudicators=("lead@x",))).best_index == 1


def test_a_choice_as_the_best_settles_a_tie_where_no_good_image_was_chosen():
    assert verdicts("tb", "bt", "gg") == "tbg"
    assert verdicts("tb", "gt", "gg") == "btg"


def test_of_several_choices_of_one_person_the_latest_is_the_best():
    votes = [*ballots("t", "b"), *ballots("-", "-", "t", seconds=5)]
    assert values(decide(votes, 3).verdicts) == "gbt"


# -- adjudicators --------------------------------------------------------------------------

LEAD = Labelling(adjudicators="lead@x", annotators_per_image=2)


def lead(index: int, value: str, at=START, person: int = 50) -> Vote:
    name = "lead@x" if person == 50 else "other@x"
    return Vote(900 + index + person, index, person, value, at, annotator=name)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("value", "verdict"), [("good", "good"), ("bad", "bad"), ("best", "best")])
def test_an_adjudicator_settles_an_image(policy, value, verdict):
    others = ballots("bbb" if verdict != "bad" else "ttt", "gg", "bb")
    plan = LEAD.model_copy(update={"consensus": policy})
    decision = decide([*others, lead(0, value)], 3, plan)
    assert (decision.verdicts[0], decision.by[0]) == (verdict, "adjudicator")
    assert decision.reasons[0] == "settled by lead@x"


def test_an_adjudicators_best_overrides_everybodys():
    decision = decide([*ballots("tt", "gg"), lead(1, "best")], 2, LEAD)
    assert values(decision.verdicts) == "gt"
    assert decision.best_reason == "most votes for the best (1), chosen by lead@x"


def test_calling_it_good_leaves_the_others_choice_of_the_best():
    assert decide([*ballots("tt", "gb"), lead(0, "good")], 2, LEAD).best_index == 0


def test_an_adjudicators_vote_is_all_that_an_image_needs():
    decision = decide([*ballots("tt"), lead(1, "bad")], 2, LEAD)
    assert decision.complete
    assert decision.voters == (2, 1)


def test_the_last_of_two_adjudicators_has_the_last_word():
    plan = Labelling(adjudicators="lead@x,other@x")
    votes = [lead(0, "bad", LATER), lead(0, "best", START, person=51)]
    assert decide(votes, 1, plan).verdicts == ("bad",)
    assert decide([lead(0, "bad"), lead(0, "best", LATER, 51)], 1, plan).verdicts == ("best",)


# -- complete ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "plan", "complete"),
    [
        (["t", "b"], {}, True),
        (["t", "-"], {}, False),
        (["g", "b"], {}, True),
        (["g", "g"], {}, False),
        (["b", "b"], {}, True),
        (["tg", "bb"], {"annotators_per_image": 2}, True),
        (["tg", "b-"], {"annotators_per_image": 2}, False),
        (["tg", "bbb"], {"annotators_per_image": 2}, True),
        (["bb", "bb"], {"annotators_per_image": 2}, True),
    ],
)
def test_complete(images, plan, complete):
    assert decide(ballots(*images), len(images), Labelling(**plan)).complete is complete


def test_one_person_twice_is_not_two_people():
    votes = [Vote(1, 0, 7, "best"), Vote(2, 0, 7, "best", LATER)]
    assert not decide(votes, 1, Labelling(annotators_per_image=2)).complete


# -- the embedding judges what people are not asked about ------------------------------------


def test_the_embedding_judges_the_others_and_names_no_best():
    decision = decide(
        ballots("t", "-", "-", "b"),
        5,
        asked=[0, 3],
        predictions=[0.1, 0.7, 0.69, 0.9, None],
        threshold=0.7,
    )
    assert values(decision.verdicts) == "tgbb-"
    assert decision.by == ("people", "embedding", "embedding", "people", None)
    assert decision.reasons[1] == "similarity 0.70 to the best so far, good from 0.70"
    assert decision.complete
    assert decision.labelled == 2
    assert (decision.good, decision.bad) == (1, 1)


def test_people_outvote_the_embedding_where_they_were_not_asked():
    decision = decide(ballots("t", "b"), 2, asked=[0], predictions=[0.1, 0.9])
    assert values(decision.verdicts) == "tb"


def test_the_embedding_does_not_judge_what_people_were_asked_and_left_out():
    assert decide(ballots("t"), 2, asked=[0, 1], predictions=[0.9, 0.9]).verdicts[1] is None


def test_nothing_good_among_the_asked_is_complete_without_a_best():
    decision = decide(ballots("b"), 2, asked=[0], predictions=[0.1, 0.9])
    assert decision.complete
    assert values(decision.verdicts) == "bg"


# -- whatever people do --------------------------------------------------------------------

NAMES = {1: "p1@x", 2: "p2@x", 3: "lead@x", 4: "stranger@x", 5: None}
some_votes = st.lists(
    st.builds(
        lambda person, **fields: Vote(annotator_id=person, annotator=NAMES.get(person), **fields),
        person=st.sampled_from([1, 2, 3, 4, 5, None]),
        ls_id=st.integers(1, 10**6),
        index=st.integers(0, 4),
        value=st.sampled_from(["good", "bad", "best", None, "NOPE"]),
        updated_at=st.integers(0, 5).map(lambda s: START + timedelta(seconds=s)),
        deleted=st.booleans(),
    ),
    unique_by=lambda vote: vote.ls_id,
)
plans = st.builds(
    Labelling,
    consensus=st.sampled_from(["majority", "any-good", "all-good"]),
    annotators_per_image=st.integers(1, 2),
    annotators=st.sampled_from([(), ("p1@x", "p2@x")]),
    adjudicators=st.sampled_from([(), ("lead@x",)]),
)


@given(some_votes, plans, st.randoms(use_true_random=False))
def test_order_does_not_matter(votes, plan, random):
    shuffled = list(votes)
    random.shuffle(shuffled)
    assert decide(shuffled, 5, plan) == decide(votes, 5, plan) == decide(votes, 5, plan)


@given(some_votes, plans)
def test_a_decision_is_consistent(votes, plan):
    decision = decide(votes, 5, plan)
    counting = latest_votes(votes, plan)
    assert decision.verdicts.count("best") == (decision.best_index is not None)
    if decision.best_index is not None:
        assert decision.verdicts[decision.best_index] == "best"
        cast = [vote.value for vote in counting if vote.index == decision.best_index]
        others = [i for i, v in enumerate(decision.verdicts) if v and v not in ("bad", "best")]
        assert "best" in cast or not others
    judged = {vote.index for vote in counting}
    assert {i for i, verdict in enumerate(decision.verdicts) if verdict} == judged
    for index in range(5):
        people = {vote.annotator_id for vote in votes if vote.index == index}
        assert decision.voters[index] <= len(people)


@given(some_votes, plans, st.data())
def test_a_copy_of_somebodys_vote_changes_nothing(votes, plan, data):
    if not votes:
        return
    copied = replace(data.draw(st.sampled_from(votes)), ls_id=10**7)
    at_once = [
        v
        for v in votes
        if (v.annotator_id, v.updated_at) == (copied.annotator_id, copied.updated_at)
    ]
    if len(at_once) > 1:  # of two at the same moment the newer id is the later word
        return
    current = [v for v in latest_votes(votes, plan) if v.index == copied.index]
    if any((v.annotator_id, v.value) == (copied.annotator_id, copied.value) for v in current):
        assert decide([*votes, copied], 5, plan).verdicts == decide(votes, 5, plan).verdicts


@given(some_votes, plans, st.sampled_from(["good", "bad", "best"]), st.integers(0, 4))
def test_the_adjudicators_last_word_always_wins(votes, plan, value, index):
    plan = plan.model_copy(update={"adjudicators": ("lead@x",)})
    last = Vote(10**7, index, 3, value, START + timedelta(days=1), annotator="lead@x")
    decision = decide([*votes, last], 5, plan)
    assert decision.by[index] == "adjudicator"
    assert (decision.verdicts[index] == "bad") == (value == "bad")


@given(some_votes, plans, some_votes)
def test_an_account_that_may_not_vote_never_changes_anything(votes, plan, others):
    plan = plan.model_copy(update={"annotators": ("p1@x",)})
    strangers = [
        replace(vote, ls_id=vote.ls_id + 10**7, annotator_id=4, annotator="stranger@x")
        for vote in others
    ]
    assert decide([*votes, *strangers], 5, plan) == decide(votes, 5, plan)


def test_each_prompt_has_a_best_of_its_own():
    votes = ballots("t", "g", "b", "g", "t", "b")
    decision = decide(votes, 6, prompts=["a cat"] * 3 + ["a dog"] * 3)
    assert decision.verdicts == ("best", "good", "bad", "good", "best", "bad")
    assert (decision.best_index, decision.bests, decision.complete) == (0, (0, 4), True)
    assert (
        decision.best_reason
        == "a cat: most votes for the best (1); a dog: most votes for the best (1)"
    )
    alone = decide(votes, 6)
    assert alone.verdicts.count("best") == 1
