"""The blind comparisons of a run: a row for every vote on a pair, or one for a pair without any."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from backend.comparing.result import decided, latest_votes, meant, voter
from backend.exports.formats import TIME, write_table
from backend.exports.source import Source
from backend.run.comparison import Comparison, PairVote
from backend.tasks.pairs import pair_path

SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("comparison", pa.string()),
        ("epoch", pa.int64()),
        ("against_run", pa.string()),
        ("against_epoch", pa.int64()),
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        ("pair", pa.int64()),
        ("image_left", pa.string()),
        ("image_right", pa.string()),
        ("side_of_run", pa.string()),
        ("annotator_id", pa.int64()),
        ("annotator", pa.string()),
        ("choice", pa.string()),
        ("preferred", pa.string()),
        ("counted", pa.bool_()),
        ("was_cancelled", pa.bool_()),
        ("lead_time", pa.float64()),
        ("created_at", TIME),
        ("updated_at", TIME),
        ("verdict", pa.string()),
    ]
)


def rows(source: Source) -> list[dict[str, Any]]:
    """The rows, by comparison, pair and annotation.

    Raises:
        NothingToExport: the run's model was not compared with another.
    """
    store = source.store
    made = [each for each in store.comparisons(source.run.id) if each.published_at is not None]
    if not made:
        raise source.nothing(
            "its model was not compared yet", f"`hero compare {source.run.id}` begins, judge"
        )
    return [
        row
        for comparison in reversed(made)
        for row in _rows(comparison, store.pair_votes(comparison.id))
    ]


def _rows(comparison: Comparison, votes: list[PairVote]) -> list[dict[str, Any]]:
    verdicts, counted = decided(comparison, votes), latest_votes(votes)
    found = []
    for pair in range(comparison.pairs):
        here = [vote for vote in votes if vote.pair == pair]
        about = {**_about(comparison, pair), "verdict": verdicts.get(pair)}
        found += [{**about, **_said(comparison, vote, vote in counted)} for vote in here] or [
            {**dict.fromkeys(SCHEMA.names), **about}
        ]
    return found


def _about(comparison: Comparison, pair: int) -> dict[str, Any]:
    return {
        "run": comparison.run_id,
        "comparison": comparison.id,
        "epoch": comparison.model_epoch,
        "against_run": comparison.against_run_id,
        "against_epoch": comparison.against_epoch,
        "prompt": comparison.prompt_of(pair),
        "seed": comparison.seed,
        "pair": pair,
        "image_left": pair_path(comparison.id, pair, "left"),
        "image_right": pair_path(comparison.id, pair, "right"),
        "side_of_run": comparison.side_of_run(pair),
    }


def _said(comparison: Comparison, vote: PairVote, counted: bool) -> dict[str, Any]:
    return {
        "annotator_id": vote.annotator_id,
        "annotator": voter(vote),
        "choice": vote.choice,
        "preferred": meant(comparison, vote),
        "counted": counted,
        "was_cancelled": vote.was_cancelled,
        "lead_time": vote.lead_time,
        "created_at": vote.created_at,
        "updated_at": vote.updated_at,
    }


def write(source: Source, format: str, path: Path) -> None:
    """Write the comparisons of a run."""
    card = (
        f"# Blind comparisons of the run {source.run.id}\n\n"
        "One row per pair and vote: what was said, and for which of the two models that is."
    )
    write_table(rows(source), SCHEMA, format, path, card)
