"""What was decided of every image of the closed epochs, and what the engine made of it."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from backend.exports.formats import write_table
from backend.exports.source import Source, counted
from backend.run.records import Image
from backend.tasks.images import image_key

SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("epoch", pa.int64()),
        ("index", pa.int64()),
        ("image", pa.string()),
        ("image_path", pa.string()),
        ("prompt", pa.string()),
        ("verdict", pa.string()),
        ("verdict_by", pa.string()),
        ("reason", pa.string()),
        ("good_votes", pa.int64()),
        ("bad_votes", pa.int64()),
        ("best_votes", pa.int64()),
        ("reward", pa.float64()),
        ("prediction", pa.float64()),
        ("is_anchor", pa.bool_()),
        ("asked", pa.bool_()),
    ]
)


def row(source: Source, image: Image) -> dict[str, Any]:
    """What is known of one image."""
    votes = source.votes[image.epoch, image.index]
    return {
        "run": image.run_id,
        "epoch": counted(image.epoch),
        "index": image.index,
        "image": image_key(image.run_id, image.epoch, image.index),
        "image_path": image.path,
        "prompt": source.prompt_of(image),
        "verdict": image.verdict,
        "verdict_by": image.verdict_by,
        "reason": image.verdict_reason,
        "good_votes": votes["good"],
        "bad_votes": votes["bad"],
        "best_votes": votes["best"],
        "reward": image.reward,
        "prediction": image.prediction,
        "is_anchor": source.is_anchor(image),
        "asked": image.asked,
    }


def rows(source: Source) -> list[dict[str, Any]]:
    """The rows, by epoch and image.

    Raises:
        NothingToExport: no epoch is closed yet.
    """
    return [row(source, image) for image in source.judged()]


def write(source: Source, format: str, path: Path) -> None:
    """Write the verdicts of a run."""
    card = (
        f"# Verdicts of the run {source.run.id}\n\n"
        "One row per image: its votes, its verdict and why, and its reward."
    )
    write_table(rows(source), SCHEMA, format, path, card)
