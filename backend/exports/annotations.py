"""Every vote that Label Studio holds or held: one row an annotation and image.

In the gallery layout an annotation says something of every image on its page, and so has a row
for each; its lead time is that of the whole page.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

from backend.exports.formats import TIME, write_table
from backend.exports.source import Source, counted
from backend.labels.doubts import Doubt, doubts
from backend.run.records import Annotation
from backend.tasks.images import image_key

SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("epoch", pa.int64()),
        ("index", pa.int64()),
        ("image", pa.string()),
        ("image_path", pa.string()),
        ("task_id", pa.int64()),
        ("annotation_id", pa.int64()),
        ("annotator_id", pa.int64()),
        ("annotator", pa.string()),
        ("value", pa.string()),
        ("was_cancelled", pa.bool_()),
        ("problem", pa.string()),
        ("lead_time", pa.float64()),
        ("created_at", TIME),
        ("updated_at", TIME),
        ("counted", pa.bool_()),
        ("late", pa.bool_()),
        ("late_value", pa.string()),
        ("deleted", pa.bool_()),
        ("doubt", pa.string()),
        ("pick", pa.bool_()),
        ("goes_on_from", pa.string()),
    ]
)


def rows(source: Source) -> list[dict[str, Any]]:
    """The rows, by epoch, image and annotation.

    Raises:
        NothingToExport: nobody has labelled anything yet.
    """
    if not source.annotations:
        raise source.nothing("nobody has labelled anything yet", "label some images")
    found = doubts(source.annotations, source.run.labelling)
    paths = {(image.epoch, image.index): image.path for image in source.images}
    run = source.run
    before = None if run.parent_id is None else f"{run.parent_id}:{run.parent_epoch}"
    return [
        {
            **_row(row, paths.get((row.epoch, row.index)), found.get(row.ls_id)),
            "goes_on_from": before,
        }
        for row in source.annotations
    ]


def _row(row: Annotation, path: str | None, doubt: Doubt | None) -> dict[str, Any]:
    return {
        "run": row.run_id,
        "epoch": counted(row.epoch),
        "index": row.index,
        "image": image_key(row.run_id, row.epoch, row.index),
        "image_path": path,
        "task_id": row.task_id,
        "annotation_id": row.ls_id,
        "annotator_id": row.annotator_id,
        "annotator": row.annotator,
        "value": row.value,
        "was_cancelled": row.was_cancelled,
        "problem": row.problem,
        "lead_time": row.lead_time,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "counted": row.frozen,
        "late": row.late,
        "late_value": row.late_value,
        "deleted": row.deleted,
        "doubt": doubt,
        "pick": row.pick,
    }


def write(source: Source, format: str, path: Path) -> None:
    """Write the annotations of a run."""
    card = (
        f"# Annotations of the run {source.run.id}\n\n"
        "One row an annotation and image: what was said, by whom, and whether it counted."
    )
    write_table(rows(source), SCHEMA, format, path, card)
