"""The table of all lives."""

import platform
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.kept_runs import KeptRuns
from benchmarks.sheets import Sheet
from tests.chaos.invariants import INVARIANTS

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "chaos.md"
KINDS = {"kills": "kill", "faults": "fault"}


def write(out: Path, kept: KeptRuns, command: str) -> None:
    """Pack the lives, and write their table beside them and on the screen."""
    kept.pack()
    lives = kept.all()
    rows = [run.row for run in lives.values()]
    if not rows:
        return
    seeds = sorted({run.spec["seed"] for run in lives.values()})
    sheets = [totals(rows), happened(rows), invariants(rows)]
    text = "\n".join(f"{sheet.title}\n\n{sheet.markdown()}" for sheet in sheets)
    seconds = sum(row["seconds"] for row in rows)
    note = (
        f"Seeds {', '.join(map(str, seeds))}; {len(rows)} lives, {seconds / 60:.0f} minutes on "
        f"{platform.machine()}, Python {platform.python_version()}. Last command: `{command}`.\n"
    )
    if not all(row["full_disks"] for row in rows):
        note += "Some lives had no full disks: this user may not mount a tmpfs.\n"
    said = sorted({f"- {each['said']}" for row in rows for each in row["broken"]})
    out.write_text("\n".join([note, text, *said]).rstrip() + "\n")
    for sheet in sheets:
        Console().print(sheet.rich())


def totals(rows: list[dict[str, Any]]) -> Sheet:
    """How much was lived."""
    sheet = Sheet("What was lived", ["what", "number"])
    counted = {
        "recoveries": sum(row["rounds"] for row in rows),
        "epochs learned": sum(row["epochs"] for row in rows),
        "labels": sum(row["labels"] for row in rows),
        "kills": sum(sum(row["kills"].values()) for row in rows),
        "other faults": sum(sum(row["faults"].values()) for row in rows),
        "answers broken in them": sum(sum(row["broken_answers"].values()) for row in rows),
        "broken invariants": sum(len(row["broken"]) for row in rows),
    }
    for name, number in counted.items():
        sheet.add(name, number)
    return sheet


def happened(rows: list[dict[str, Any]]) -> Sheet:
    """How often each kind of kill and fault."""
    sheet = Sheet("Kills and faults", ["what", "kind", "number"], words=2)
    for kinds, name in KINDS.items():
        counts: Counter[str] = Counter()
        for row in rows:
            counts.update(row[kinds])
        for what, number in sorted(counts.items()):
            sheet.add(what, name, number)
    return sheet


def invariants(rows: list[dict[str, Any]]) -> Sheet:
    """How often each invariant was broken."""
    sheet = Sheet("Invariants", ["what has to be true after every recovery", "broken"])
    counts = Counter(each["invariant"] for row in rows for each in row["broken"])
    for name in INVARIANTS:
        sheet.add(name, counts[name])
    return sheet
