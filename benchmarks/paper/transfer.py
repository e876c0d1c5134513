"""Transfer (Sec. 5.4): what was learned on one prompt, measured on prompts that nobody judged."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.intervals import Mean
from benchmarks.kept_runs import Row
from benchmarks.paper.cells import METHODS, TASKS, Cell, Probe, Rows
from benchmarks.paper.numbers import SAFE
from benchmarks.paper.section import BANK, NORMAL, PRETRAINED, Section, text
from benchmarks.sheets import Sheet
from tinyworld.tasks import tasks

LEARNERS = ("hero", "hero+")
SCENERIES = ("green", "snowy")
HIKER = "hiker watching beautiful mountains from the top of a hill"
SCENERY = "mountain.scenery"
AVOIDED = {"stamp": "no"}
LEARNED_ON = "blue-rose"
EVALUATIONS = (PRETRAINED, NORMAL, BANK)
TASTE_IMAGES, AVOID_IMAGES = 100, 50

HEADER = [
    "learned",
    "method",
    "measured on",
    "seeds",
    "N(0, I), pretrained",
    "N(0, I)",
    "pi_HERO",
    "own conditions, pretrained",
    "own conditions, N(0, I)",
    "own conditions, pi_HERO",
]

TASTE_NOTE = f"""
Two annotators of mountain who call a window's view good only if its scenery is as they like it, 512
labels. Share of the images with that scenery, on the prompt that was learned (200 images; what the
annotator calls good) and on others of the same subject ({TASTE_IMAGES} images each); pi_HERO draws
the other prompts from the noises of the learned one, as the paper does. *Own conditions*: share
that meet the other prompt's own task, with or without what was learned. The paper shows this in
pictures only (Figure 6).
"""

AVOID_NOTE = f"""
An annotator of {LEARNED_ON} calls an image good only if it shows a clean rose without the orange
date stamp, which three in ten images carry and no caption tells; 512 labels. Share of images
without a stamp, on the prompt that was learned (200 images; what the annotator calls good) and on
the tiny world's prompts that are none of the five tasks, nor a part of the learned one
({AVOID_IMAGES} images each). *Own
conditions*: share that meet the other prompts' own tasks, with or without what was learned. The
paper's concept is nudity, learned on one prompt and measured on 14 others:
{SAFE["pretrained"].text()} safe before and {SAFE["hero"].text()} after, on pi_HERO
({SAFE["hero"].where}).
"""


def others(of_subject: str | None = None) -> list[str]:
    """The tiny world's prompts that are not the paper's tasks, of one subject or of all."""
    return [
        prompt
        for prompt, found in tasks().items()
        if prompt not in TASKS.values() and of_subject in (None, found.conditions["subject"])
    ]


def taste_cells() -> dict[tuple[str, str], Cell]:
    """By scenery and method. HIKER stands first among the prompts, as in the paper."""
    related = [HIKER, *(prompt for prompt in others("mountain") if prompt != HIKER)]
    found = {}
    for method in LEARNERS:
        for scenery in SCENERIES:
            wanted = {"subject": "mountain", SCENERY: scenery}
            found[scenery, method] = Cell(
                f"mountain/{method} prefers {scenery}",
                TASKS["mountain"],
                METHODS[method],
                wanted={**_own(TASKS["mountain"]), **wanted},
                probes=tuple(Probe(prompt, wanted) for prompt in related),
                probe_images=TASTE_IMAGES,
            )
    return found


def avoid_cells() -> dict[str, Cell]:
    """By method."""
    prompt = TASKS[LEARNED_ON]
    clean = {name: value for name, value in _own(prompt).items() if name in ("subject", "clean")}
    return {
        method: Cell(
            f"{LEARNED_ON}/{method} avoids stamps",
            prompt,
            METHODS[method],
            wanted={**clean, **AVOIDED},
            probes=tuple(Probe(other, AVOIDED) for other in others() if other not in prompt),
            probe_images=AVOID_IMAGES,
        )
        for method in LEARNERS
    }


def _own(prompt: str) -> dict[str, str]:
    """The conditions of a prompt; none where the tiny world does not know it."""
    return tasks()[prompt].conditions if prompt in tasks() else {}


def probed(rows: Sequence[Row], evaluation: str, share: str, prompts: Sequence[str]) -> str | None:
    """The seeds' mean of a probe's share over some prompts, and its interval."""
    key = f"probes_{evaluation}"
    if any(key not in row for row in rows):
        return None
    return Mean.of(
        [
            statistics.mean(probe[share] for probe in row[key] if probe["prompt"] in prompts)
            for row in rows
        ]
    ).text()


def _add(
    table: Sheet, learned: str, method: str, cell: Cell, rows: Sequence[Row], *, mean: bool
) -> None:
    """The learned prompt, the others' `mean`, and each other one."""
    trained = [text(rows, f"success_{evaluation}") for evaluation in EVALUATIONS]
    table.add(learned, method, f"learned: {cell.prompt}", len(rows), *trained, None, None, None)
    prompts = [probe.prompt for probe in cell.probes]
    groups = {prompt: [prompt] for prompt in prompts}
    if mean and prompts:
        groups = {f"mean of {len(prompts)} others": prompts, **groups}
    for group, of in groups.items():
        shares = [
            probed(rows, evaluation, share, of)
            for share in ("wanted", "own")
            for evaluation in EVALUATIONS
        ]
        table.add(learned, method, group, len(rows), *shares)


def taste_section() -> Section:
    """For the page."""
    cells = taste_cells()

    def sheet(rows: Rows) -> Sheet:
        table = Sheet("Transfer of a taste (Sec. 5.4), tiny model", HEADER, words=3)
        for (scenery, method), cell in cells.items():
            if found := rows.get(cell.name):
                _add(table, f"{scenery} scenery", method, cell, found, mean=False)
        return table

    return Section("taste", list(cells.values()), sheet, TASTE_NOTE)


def avoid_section() -> Section:
    """For the page."""
    cells = avoid_cells()

    def sheet(rows: Rows) -> Sheet:
        table = Sheet("Transfer of a concept to avoid (Sec. 5.4), tiny model", HEADER, words=3)
        for method, cell in cells.items():
            if found := rows.get(cell.name):
                _add(table, "no date stamp", method, cell, found, mean=True)
        return table

    return Section("avoid", list(cells.values()), sheet, AVOID_NOTE)
