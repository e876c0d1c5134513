"""What a benchmark with a row a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.jobs import command
from benchmarks.kept_runs import KeptRuns, Row
from benchmarks.sheets import Sheet


def write(out: Path, name: str, rows: Sequence[Row], table: Sheet, screen: Console) -> None:
    """The rows as `out`, the table beside it and on the screen, and the runs packed.

    Args:
        name: of the benchmark, as a module of `benchmarks`.
    """
    said = command(name)
    out.write_text(json.dumps({"command": said, "runs": rows}, indent=1) + "\n")
    page = f"# {table.title}\n\n`{said}`\n\n{table.markdown()}"
    out.with_suffix(".md").write_text(page)
    KeptRuns.beside(out).pack()
    screen.print(table.rich())
    screen.print(f"Written to {out}")
