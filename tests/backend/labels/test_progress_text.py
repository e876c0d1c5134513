"""What is awaited, in words, and how long it will take."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labels.progress_text import duration, notices, seconds_left, sentence
from backend.run.records import Counts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(*seconds: float) -> list[datetime]:
    return [NOW - timedelta(seconds=s) for s in seconds]


def counts(labelled: int, total: int = 64, **fields: object) -> Counts:
    whole = {"has_best": False, "good": 20, "bad": 20, "complete": False, "votes_needed": total}
    return Counts(labelled, total, **{**whole, **fields})  # type: ignore[arg-type]


class TestEstimate:
    def test_the_epochs_own_pace(self):
        assert seconds_left(ago(15, 10, 5, 0), 23, NOW) == 23 * 5

    def test_a_break_does_not_count(self):
        assert seconds_left(ago(7210, 7205, 7200, 10, 5, 0), 10, NOW) == 50

    @pytest.mark.parametrize("times", [[], ago(5), ago(10, 5, 0)])
    def test_too_few_to_tell(self, times: list[datetime]):
        assert seconds_left(times, 10, NOW) is None

    def test_nobody_labels_now(self):
        assert seconds_left(ago(315, 310, 305, 300), 10, NOW) is None
        assert seconds_left(ago(480, 420, 360, 300), 10, NOW) == 600

    def test_nothing_is_missing(self):
        assert seconds_left([], 0, NOW) == 0

    @given(
        st.lists(st.floats(0, 1e6), max_size=20),
        st.integers(-3, 500),
        st.randoms(use_true_random=False),
    )
    def test_never_negative_and_whatever_the_order(self, seconds, missing, random):
        times = ago(*seconds)
        left = seconds_left(times, missing, NOW)
        assert left is None or left >= 0
        random.shuffle(times)
        assert seconds_left(times, missing, NOW) == left


class TestWords:
    def test_the_issues_own_example(self):
        said = sentence(
            counts(41, annotators={"ann@x.org": 30, "ben@x.org": 11}, seconds_left=120.0)
        )
        assert said == ("41 of 64 labelled, best missing, 2 annotators, about 2 min left")

    def test_several_votes_an_image(self):
        said = sentence(
            counts(3, 4, votes=7, votes_needed=8, annotators={"ann@x.org": 4, "b@x": 3})
        )
        assert said == "3 of 4 labelled, 7 of 8 votes, best missing, 2 annotators"

    def test_everybody_there_has_labelled_all_and_more_people_are_needed(self):
        alone = counts(0, 4, votes=4, votes_needed=12, annotators={"ann@x.org": 4})
        assert sentence(alone).endswith("waiting for 2 more people")
        at_it = counts(0, 4, votes=3, votes_needed=12, annotators={"ann@x.org": 3})
        assert "more people" not in sentence(at_it)

    def test_a_named_annotator_has_not_come(self):
        said = sentence(counts(0, silent=("ann@x.org", "ben@x.org")))
        assert said.endswith("no annotators, nothing yet from ann@x.org and ben@x.org")

    def test_only_the_best_lacks(self):
        said = sentence(counts(64, undecided=12, annotators={"ann@x.org": 64}))
        assert said.startswith(
            "64 of 64 labelled, waiting for somebody to say which of 12 good images is the best"
        )

    def test_what_was_chosen_as_the_best_is_bad_by_the_votes(self):
        said = sentence(counts(64, best_overruled=True, annotators={"ann@x.org": 64}))
        assert "what was chosen as the best is bad by the votes" in said
        assert "to say which of" in said

    def test_nothing_lacks(self):
        assert "all is there" in sentence(counts(64, has_best=True, complete=True))

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0.5, "10 s"),
            (38, "40 s"),
            (55, "1 min"),
            (119, "2 min"),
            (3500, "58 min"),
            (4750, "1 h 20 min"),
            (7200, "2 h"),
            (90_000, "25 h"),
        ],
    )
    def test_durations(self, seconds: float, words: str):
        assert duration(seconds) == words

    def test_labels_that_do_not_count(self):
        problems = tuple(f"image {n}: the annotation says nothing" for n in range(5))
        because = (
            "that account is not among the run's annotators. Label Studio hands out an image only "
            "so often: delete such labels there if others get none."
        )
        said = notices(counts(3, uncounted={"eve@x.org": 1, "fay@x.org": 2}, problems=problems))
        assert said == [
            f"1 label by eve@x.org does not count: {because}",
            f"2 labels by fay@x.org do not count: {because}",
            *problems[:3],
            "2 more such labels.",
        ]
        assert notices(counts(3)) == []
