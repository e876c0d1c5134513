"""The votes on pairs, fetched from Label Studio."""

import pytest

from backend.comparing.collect import fetch_due, fetch_votes, results
from backend.errors import LabelStudioUnreachable, ProjectGone
from backend.tasks.pairs import choice
from backend.web.ml_backend import HeroModel
from tests.backend.comparing.compared import comparison


class Source:
    """A Label Studio in which somebody has judged pairs."""

    def __init__(self) -> None:
        self.pairs: dict[int, list[dict]] = {}
        self.trouble: Exception | None = None
        self.asked = 0

    def judge(self, pair: int, said: str | None, who: int = 1, **fields) -> None:
        number = sum(map(len, self.pairs.values())) + 1
        self.pairs.setdefault(pair, []).append(
            {
                "id": number,
                "completed_by": who,
                "result": choice(said) if said else [],
                "was_cancelled": said is None,
                "lead_time": 2.0,
                "created_at": "2026-01-01T00:00:00Z",
                "updated_at": f"2026-01-01T00:00:{number:02d}Z",
                **fields,
            }
        )

    def pair_labels(self, project_id, made):
        self.asked += 1
        if self.trouble:
            raise self.trouble
        return [(pair, self.pairs.get(pair, [])) for pair in range(made.pairs)]

    def emails(self, wanted):
        return {1: "ann@example.com"}


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def made(store, config):
    return comparison(store, store.create_run(config).id, sides="lr")


def test_votes_come_and_go_as_in_label_studio(store, source, made):
    source.judge(0, "left")
    source.judge(1, None)
    result = fetch_votes(store, source, made)
    assert (result.tally.wins, result.judged, result.complete) == (1, 1, False)
    source.judge(1, "left", who=2)
    result = fetch_votes(store, source, made)
    assert (result.tally.wins, result.tally.losses, result.complete) == (1, 1, True)
    assert set(result.people) == {"ann@example.com", "user 2"}
    source.pairs[0].clear()
    assert fetch_votes(store, source, made).judged == 1
    assert results(store, made.run_id)[0].judged == 1


def test_an_open_one_is_looked_at_once_in_a_while_and_a_complete_one_when_told(
    store, clock, source, made
):
    look = lambda: fetch_due(store, lambda: source, 30)  # noqa: E731
    assert look() and source.asked == 1
    assert look() and source.asked == 1
    clock.pass_seconds(31)
    source.judge(0, "left")
    source.judge(1, "tie")
    assert look() and source.asked == 2
    clock.pass_seconds(31)
    assert look() and source.asked == 2, "complete"
    told = {"project": {"id": made.project_id}, "annotation": {"id": 1}}
    answer = HeroModel(store, None).fit("ANNOTATION_UPDATED", told)
    assert answer == {"status": "noted", "comparison": made.id}
    assert look() and source.asked == 3


def test_trouble_passes_and_a_project_that_is_gone_keeps_its_votes(store, clock, source, made):
    source.judge(0, "right")
    fetch_votes(store, source, made)
    source.trouble = LabelStudioUnreachable("away")
    clock.pass_seconds(31)
    assert not fetch_due(store, lambda: source, 30)
    source.trouble = ProjectGone("gone")
    clock.pass_seconds(31)
    assert fetch_due(store, lambda: source, 30)
    clock.pass_seconds(31)
    asked = source.asked
    assert fetch_due(store, lambda: source, 30) and source.asked == asked
    assert results(store, made.run_id)[0].tally.losses == 1
