"""What votes on pairs amount to."""

from io import StringIO

import pytest
from rich.console import Console
from scipy.stats import norm

from backend.comparing.result import decided, result_of
from backend.comparing.terminal import in_words, render
from tests.backend.comparing.compared import again, comparison, votes


@pytest.fixture
def run_id(store, config):
    return store.create_run(config).id


def test_ties_stand_beside_the_share(store, run_id):
    made = comparison(store, run_id, sides="lrlrlrlrlr")
    result = result_of(made, votes(made, *"+++++++-=="))
    tally = result.tally
    assert (tally.wins, tally.losses, tally.ties) == (7, 1, 2)
    assert tally.share == 7 / 8
    assert result.complete
    z, n, share = norm.ppf(0.975), 8, 7 / 8
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    assert tally.interval == pytest.approx((middle - half, middle + half))
    assert result.verdict == "People prefer the model after epoch 2."


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("+" * 10, "People prefer the model after epoch 2."),
        ("-" * 10, "People prefer the base model."),
        ("+-+-+-+-+-", "These pairs do not tell which of the two is better."),
        ("=" * 10, ""),
    ],
)
def test_the_verdict_says_what_the_interval_allows(store, run_id, said, verdict):
    made = comparison(store, run_id, sides="lr" * 5)
    assert result_of(made, votes(made, *said)).verdict == verdict


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("++-", "run"),
        ("--+", "against"),
        ("==+", "tie"),
        ("+-=", "tie"),
        ("+=+", "run"),
    ],
)
def test_most_of_several_people_decide(store, run_id, said, expected):
    made = comparison(store, run_id, people=3, sides="r")
    assert decided(made, votes(made, said)) == {0: expected}


def test_a_pair_counts_once_it_has_all_its_votes(store, run_id):
    made = comparison(store, run_id, people=2, sides="lrl")
    result = result_of(made, votes(made, "++", "+.", "+x"))
    assert result.judged == 1 and not result.complete
    ann, ben = result.people["ann@example.com"], result.people["ben@example.com"]
    assert (ann.wins, ben.wins) == (3, 1)


def test_of_a_persons_votes_the_latest_counts(store, run_id):
    made = comparison(store, run_id, sides="l")
    (first,) = votes(made, "+")
    changed = again(first, "-", made)
    assert decided(made, [changed, first]) == {0: "against"}
    assert decided(made, [again(first, "x", made), first]) == {0: "run"}


def test_the_terminal_shows_it_in_80_columns(store, run_id):
    made = comparison(store, run_id, people=2, sides="lrlrlrlrlr")
    console = Console(width=80, file=StringIO())
    console.print(render(result_of(made, votes(made, *["++"] * 7, "--", "+-", "+."))))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    said = " ".join(text.split())
    assert "9 of 10 pairs are judged." in said
    assert "The model after epoch 2 was preferred in 7 of 8 pairs, 88% (53 to 98); 1 tie." in said
    assert "ann@example.com 10 9 1 0" in said


def test_before_anything_is_decided(store, run_id):
    made = comparison(store, run_id, sides="lr")
    assert in_words(result_of(made, []).tally) == "no pair is decided yet"
    assert in_words(result_of(made, votes(made, "=")).tally) == "no pair is decided yet; 1 tie"


def test_several_prompts_have_a_line_each(store, run_id):
    made = comparison(
        store, run_id, sides="lrlrl", prompts=("a [cat]", "1 hand"), criteria=("", "x")
    )
    result = result_of(made, votes(made, *"+-+=-"))
    cat, hand = result.by_prompt["a [cat]"], result.by_prompt["1 hand"]
    assert (cat.wins, cat.losses, cat.ties) == (2, 1, 0)
    assert (hand.wins, hand.losses, hand.ties) == (0, 1, 1)
    assert result.tally.pairs == cat.pairs + hand.pairs
    console = Console(width=80, file=StringIO())
    console.print(render(result))
    assert isinstance(console.file, StringIO)
    said = " ".join(console.file.getvalue().split())
    assert "2 prompts: a [cat]; 1 hand" in said
    assert "a [cat] 2 of 3 67% (21 to 94) 0 1 hand 0 of 1 0% (0 to 79) 1" in said


def test_one_prompt_has_none(store, run_id):
    made = comparison(store, run_id)
    assert result_of(made, votes(made, "+")).by_prompt == {}
