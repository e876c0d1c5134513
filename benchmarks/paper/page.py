"""The result files: JSON with every run, Markdown with every table, a plot a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import fingerprint
from benchmarks.kept_runs import Row
from benchmarks.paper.cells import Cell, Rows
from benchmarks.paper.section import Section
from benchmarks.sheets import Sheet

INTRODUCTION = """
The tables and figures of the HERO paper (Hiranaka et al., ICLR 2025), rerun on the bundled tiny
model with simulated annotators who never err. Mean and 95 % confidence interval over the seeds
(Student's t). The paper's figures are of another model and of people: compare orders, not values.
"""


def sheets(sections: Sequence[Section], rows: Rows) -> dict[str, Sheet]:
    """The tables that have a row, by section."""
    made = {section.name: section.sheet(section.rows(rows)) for section in sections}
    return {name: sheet for name, sheet in made.items() if sheet.rows}


def write(
    out: Path,
    command: str,
    seeds: Sequence[int],
    sections: Sequence[Section],
    cells: Sequence[Cell],
    rows: Mapping[str, Sequence[Row]],
) -> dict[str, Sheet]:
    """Write `out` (.json), .md and the plots beside it; the tables."""
    out.parent.mkdir(parents=True, exist_ok=True)
    made = sheets(sections, rows)
    result = {
        "command": command,
        "weights": fingerprint.tiny(),
        "seeds": list(seeds),
        "interval": "95 %, Student's t over seeds",
        "tables": {
            name: {"title": sheet.title, "header": sheet.header, "rows": sheet.rows}
            for name, sheet in made.items()
        },
        "cells": [
            {
                **asdict(cell),
                "labels": cell.labels,
                "runs": [_short(row) for row in rows[cell.name]],
            }
            for cell in cells
            if cell.name in rows
        ],
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    lines = [f"# The paper's tables on the tiny model\n{INTRODUCTION}"]
    lines.append(
        f"`{command}`, seeds {', '.join(map(str, seeds))}, weights `{fingerprint.tiny()}`.\n"
    )
    for section in sections:
        if section.name not in made:
            continue
        lines += [f"## {made[section.name].title}\n", made[section.name].markdown(), section.note]
        if section.plot:
            picture = out.with_name(f"{out.stem}-{section.name}.svg")
            section.plot(section.rows(rows), picture)
            if picture.exists():
                lines.append(f"![{made[section.name].title}]({picture.name})\n")
    out.with_suffix(".md").write_text("\n".join(lines))
    return made


def _short(row: Row) -> Row:
    """Without what each epoch's learning reported."""
    return {name: value for name, value in row.items() if name != "reports"}
