"""What suggestions on a gallery's page do to labels, by simulated people who overlook some.

    python -m benchmarks.suggestions [--runs 400]

A run has 8 epochs of 64 images. The model's guesses are right to a share, from the second epoch
on. People see what each image is; but of the suggestions that are wrong they overlook a share, and
leave them. The rule of `backend/tasks/suggestions.py` decides on each page, from the labels alone,
whether it opens with suggestions; beside it stands a rule that always would. Clicks are those on
images, from the second epoch on: a page without suggestions takes one for each good image or, by
"all are good, but those I click", one for each bad image and one for the switch.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from backend.consensus import BAD, GOOD
from backend.run.labelling import Labelling
from backend.run.records import Epoch, Image, Run
from backend.settings import Settings
from backend.store import Store
from backend.tasks.suggestions import Opening, openings
from benchmarks.cells import RESULTS
from benchmarks.jobs import command, console
from benchmarks.sheets import Sheet

EPOCHS, IMAGES = 8, 64
GOOD_SHARES = (0.28, 0.8)
RIGHT_SHARES = (0.85, 0.92, 0.97)
OVERLOOKED = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Lived:
    """One run's pages."""

    with_suggestions: int
    biased: bool
    wrong: int
    """Labels that are wrong since a suggestion was."""
    clicks: float
    """In an epoch, on images, on average."""


def lived(
    run: Run, good_share: float, right_share: float, overlooked: float, rng: random.Random
) -> Lived:
    """A run that people label so."""
    run = replace(run, id=f"run-{rng.randrange(10**9)}")
    images: list[Image] = []
    wrong = clicks = pages = 0
    biased = False
    for number in range(EPOCHS):
        epochs = [_epoch(i) for i in range(number + 1)]
        truth = [rng.random() < good_share for _ in range(IMAGES)]
        guess = [good == (rng.random() < right_share) for good in truth]
        drawn = [_image(number, i, guess[i] if number else None) for i in range(IMAGES)]
        opening = openings(replace(run, epoch=number), epochs, [*images, *drawn])[number]
        said = [
            _said(i, truth[i], guess[i], opening, rng.random() < overlooked) for i in range(IMAGES)
        ]
        images += [
            replace(image, verdict=GOOD if good else BAD)
            for image, good in zip(drawn, said, strict=True)
        ]
        if number:
            pages += opening.begun
            biased = biased or opening.biased
            wrong += sum(a != b for a, b in zip(said, truth, strict=True))
            clicks += _clicks(said, opening)
    return Lived(pages, biased, wrong, clicks / (EPOCHS - 1))


def _said(index: int, truth: bool, guess: bool, opening: Opening, overlooks: bool) -> bool:
    seen = opening.begun and index not in opening.left
    return guess if seen and overlooks else truth


def _clicks(said: list[bool], opening: Opening) -> int:
    if opening.begun:
        return sum(good != (index in opening.suggested) for index, good in enumerate(said))
    good = sum(said)
    return min(good, 1 + IMAGES - good)


def _epoch(number: int) -> Epoch:
    return Epoch("run", number, None, None, None, None, {}, None, None, None)


def _image(epoch: int, index: int, guess: bool | None) -> Image:
    similarity = None if guess is None else float(guess)
    return Image("run", epoch, index, "", None, True, None, None, None, None, similarity)


def measured(runs: int, run: Run) -> list[dict[str, float]]:
    """A row for each of the settings."""
    rows = []
    for good_share in GOOD_SHARES:
        for right_share in RIGHT_SHARES:
            for overlooked in OVERLOOKED:
                rng = random.Random(f"{good_share} {right_share} {overlooked}")
                found = [lived(run, good_share, right_share, overlooked, rng) for _ in range(runs)]
                rows.append(
                    {
                        "good": good_share,
                        "right": right_share,
                        "overlooked": overlooked,
                        "pages": mean(each.with_suggestions for each in found),
                        "biased": mean(each.biased for each in found),
                        "wrong": mean(each.wrong for each in found) / (IMAGES * (EPOCHS - 1)),
                        "wrong_always": (1 - right_share) * overlooked,
                        "clicks": mean(each.clicks for each in found),
                    }
                )
    return rows


def _run() -> Run:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Settings(home=Path(folder)))
        plan = Labelling(layout="gallery", suggestions=True)
        config = {"prompt": "one rose", "epochs": EPOCHS, "images_per_epoch": IMAGES}
        run = store.create_run(config, labelling=plan)
        store.close()
    return replace(run, id="run")


def sheet(rows: list[dict[str, float]]) -> Sheet:
    """The rows, as a table."""
    table = Sheet(
        "Suggestions on a gallery's page",
        [
            "good images",
            "guesses right",
            "wrong ones overlooked",
            "pages of 7 with suggestions",
            "runs that stop them for bias",
            "labels wrong",
            "labels wrong if always",
            "clicks an epoch",
        ],
    )
    for row in rows:
        table.add(
            f"{row['good']:.0%}",
            f"{row['right']:.0%}",
            f"{row['overlooked']:.0%}",
            f"{row['pages']:.1f}",
            f"{row['biased']:.0%}",
            f"{row['wrong']:.1%}",
            f"{row['wrong_always']:.1%}",
            f"{row['clicks']:.1f}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--out", type=Path, default=RESULTS / "suggestions.json")
    said = parser.parse_args()
    rows = measured(said.runs, _run())
    table = sheet(rows)
    told = {"command": command("suggestions"), "runs": said.runs, "rows": rows}
    said.out.write_text(json.dumps(told, indent=1) + "\n")
    page = f"# {table.title}\n\n`{told['command']}`, {said.runs} runs a row\n\n{table.markdown()}"
    said.out.with_suffix(".md").write_text(page)
    console().print(table.rich())


if __name__ == "__main__":
    main()
