"""Appendix F: diversity, text alignment and quality of Table 2's images."""

from __future__ import annotations

from benchmarks.paper import table2
from benchmarks.paper.cells import TASKS, Rows
from benchmarks.paper.section import BANK, NORMAL, PRETRAINED, Section, text
from benchmarks.sheets import Sheet

FIGURES = {
    "diversity_judge": "diversity, judge",
    "diversity_clip": "diversity, CLIP",
    "alignment_judge": "alignment, judge",
    "alignment_clip": "alignment, CLIP",
    "alignment_blip": "alignment, BLIP",
    "quality_judge": "quality, judge",
    "quality_image_reward": "quality, ImageReward",
}
NOISES = {PRETRAINED: "N(0, I), pretrained", NORMAL: "N(0, I)", BANK: "pi_HERO"}

NOTE = """
On the images of Table 2. The columns *judge* are the tiny world's stand-ins, not comparable with
the paper's: in-batch diversity with the judge's features in place of CLIP's; its mean margin of the
prompt's conditions for text alignment; its mean margin of cleanness for quality (logits, at most
8). CLIP (cosine), BLIP (probability of a match) and ImageReward have columns only where runs were
made with their weights (`--clip`, `--blip`, `--image-reward`). The paper shows its values only as a
plot (Figure 8).
"""


def sheet(rows: Rows) -> Sheet:
    """A row a task, method and kind of noise; only the figures that were measured."""
    measured = {key for found in rows.values() for key in found[0]}
    figures = [
        figure for figure in FIGURES if any(f"{figure}_{noise}" in measured for noise in NOISES)
    ]
    table = Sheet(
        "Appendix F. Diversity, alignment and quality, tiny model",
        ["task", "method", "noise", "seeds", *(FIGURES[figure] for figure in figures)],
        words=3,
    )
    for task in TASKS:
        before = {PRETRAINED: table2.pretrained(rows, task)}
        after = {method: rows.get(f"{task}/{method}", []) for method in table2.ORDER}
        for method, found in (before | after).items():
            for noise in (PRETRAINED,) if method == PRETRAINED else (NORMAL, BANK):
                values = [text(found, f"{figure}_{noise}") for figure in figures]
                if any(values):
                    table.add(task, method, NOISES[noise], len(found), *values)
    return table


def section() -> Section:
    """For the page."""
    return Section("appendixF", table2.cells(), sheet, NOTE)
