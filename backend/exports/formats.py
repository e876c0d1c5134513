"""Rows as csv, json, jsonl, parquet, or a folder for `datasets.load_dataset` (hf)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute, csv, parquet

from backend.exports.target import CARD, MARK

TIME = pa.timestamp("us", tz="UTC")
HF_FILE = "data/train-00000-of-00001.parquet"
"""Where `datasets.load_dataset(folder)` finds the split called train."""

_FORMULA = r"\A('*[=+\-@\t\r\n])"
"""Text that a spreadsheet would take for a formula, or that looks as if we had defused one."""

Rows = Sequence[Mapping[str, Any]]


def write_table(rows: Rows, schema: pa.Schema, format: str, path: Path, card: str) -> None:
    """Write rows in one of the formats; every one gives the same rows back.

    In csv, text that a spreadsheet would calculate has an apostrophe before it.

    Args:
        rows: one mapping a row, with the schema's names.
        card: what the README of an hf folder says.
    """
    if format == "hf":
        parquet_file = path / HF_FILE
        parquet_file.parent.mkdir(parents=True)
        parquet.write_table(pa.Table.from_pylist(list(rows), schema), parquet_file)
        write_card(path, card)
    elif format == "parquet":
        parquet.write_table(pa.Table.from_pylist(list(rows), schema), path)
    elif format == "csv":
        csv.write_csv(_defused(pa.Table.from_pylist(list(rows), schema)), path)
    elif format == "jsonl":
        write_jsonl(rows, path)
    else:
        lines = ",\n".join(f" {_json(row)}" for row in rows)
        path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _defused(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before each text that begins like a formula."""
    for position, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            how = compute.ReplaceSubstringOptions(_FORMULA, r"'\1")
            column = compute.call_function("replace_substring_regex", [table.column(position)], how)
            table = table.set_column(position, field, column)
    return table


def write_jsonl(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{_json(row)}\n" for row in rows)


def write_card(folder: Path, text: str) -> None:
    """The README of a folder, by which it is known as an export; `datasets` reads its head."""
    title = text.strip().partition("\n")[0].removeprefix("# ")
    head = f"---\npretty_name: {title}\n---\n"
    (folder / CARD).write_text(f"{head}\n{text.strip()}\n\n{MARK}.\n", encoding="utf-8")


def _json(row: Mapping[str, Any]) -> str:
    return json.dumps(dict(row), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
