"""How far people agree: of the run and of each epoch, with each annotator's part."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from backend.exports.formats import write_table
from backend.exports.source import Source, counted
from backend.labels.agreement import Agreement, of_run

SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("epoch", pa.int64()),
        ("images", pa.int64()),
        ("compared", pa.int64()),
        ("differing", pa.int64()),
        ("alpha", pa.float64()),
        ("alpha_good_bad", pa.float64()),
        ("percent", pa.float64()),
        ("percent_good_bad", pa.float64()),
        ("annotator", pa.string()),
        ("annotator_images", pa.int64()),
        ("annotator_good", pa.int64()),
        ("annotator_bad", pa.int64()),
        ("annotator_best", pa.int64()),
        ("reliability", pa.float64()),
        ("seconds_per_image", pa.float64()),
        ("bests_taken", pa.float64()),
        ("too_quick", pa.int64()),
    ]
)


def write(source: Source, format: str, path: Path) -> None:
    """Write the agreement of a run: nested as JSON, or a row an epoch and annotator as csv."""
    epochs = source.store.epochs(source.run.id)
    found = of_run(source.annotations, epochs, source.run.labelling)
    if not found.run.people:
        raise source.nothing("it has no labels that count yet", "label some images")
    if format == "json":
        path.write_text(json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n")
        return
    epochs_found = [(counted(number), scope) for number, scope in found.epochs.items()]
    scopes = [(None, found.run), *epochs_found]
    rows = [row for epoch, scope in scopes for row in _rows(source.run.id, epoch, scope)]
    write_table(rows, SCHEMA, format, path, "")


def _rows(run_id: str, epoch: int | None, scope: Agreement) -> list[dict[str, Any]]:
    figures = scope.to_dict()
    rows = []
    for person in figures.pop("people"):
        counts = {
            f"annotator_{name}": person.pop(name) for name in ("images", "good", "bad", "best")
        }
        name = person.pop("name")
        rows.append(
            {"run": run_id, "epoch": epoch, **figures, "annotator": name, **counts, **person}
        )
    return rows
