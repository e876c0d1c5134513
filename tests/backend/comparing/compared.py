"""Comparisons that a test fills by hand: published, voted on, never drawn."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from backend.run.comparison import TIE, Comparison, PairVote
from backend.store import Store

START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = ("ann@example.com", "ben@example.com", "cem@example.com")


def comparison(store: Store, run_id: str, *, people: int = 1, sides: str = "lrlr", **columns):
    """A published comparison with the base model, a pair a letter of `sides`."""
    fields = {
        "epoch": 2,
        "model_epoch": 2,
        "against_run_id": run_id,
        "against_epoch": None,
        "prompts": ("one rose",),
        "criteria": ("It is red.",),
        "pairs": len(sides),
        "annotators_per_pair": people,
        "seed": 7,
        "sides": sides,
    }
    made = store.create_comparison(run_id, **{**fields, **columns})
    store.comparison_published(made, 40 + made.number)
    return store.comparisons(run_id)[0]


def votes(made: Comparison, *pairs: str) -> list[PairVote]:
    """Votes on pairs 0, 1, ...: a letter a person; + for the run's model, - for the other, = for no
    difference, x for a skip, . for nothing."""
    found = []
    for pair, letters in enumerate(pairs):
        for person, letter in enumerate(letters):
            if letter == ".":
                continue
            ls_id = 100 * pair + person
            found.append(
                PairVote(
                    comparison_id=made.id,
                    ls_id=ls_id,
                    pair=pair,
                    annotator_id=person + 1,
                    annotator=PEOPLE[person],
                    choice=_choice(made, pair, letter),
                    was_cancelled=letter == "x",
                    lead_time=1.5,
                    created_at=START,
                    updated_at=START + timedelta(seconds=ls_id),
                )
            )
    return found


def again(vote: PairVote, letter: str, made: Comparison) -> PairVote:
    """A later vote of the same person."""
    return replace(
        vote,
        ls_id=vote.ls_id + 50,
        choice=_choice(made, vote.pair, letter),
        updated_at=vote.updated_at + timedelta(hours=1),
    )


def fill(store: Store, made: Comparison, pairs: Sequence[str]) -> None:
    store.set_pair_votes(made, votes(made, *pairs), complete=True)


def _choice(made: Comparison, pair: int, letter: str) -> str | None:
    ours = made.side_of_run(pair)
    theirs = "right" if ours == "left" else "left"
    return {"+": ours, "-": theirs, "=": TIE, "x": None}[letter]
