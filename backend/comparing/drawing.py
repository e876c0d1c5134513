"""The pairs of a comparison: both models draw the same noises, and each image gets its side.

What is drawn lies in the run's folder first, a folder a model, which people who judge do not see.
A folder is there whole or not at all, so an interrupted drawing goes on with the other model.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from backend import engine
from backend.files import whole_folder
from backend.run.comparison import SIDES, ComparedModel, Comparison
from backend.settings import Settings
from backend.store import Store
from backend.tasks.images import readable
from backend.tasks.pairs import pair_path

OnDrawn = Callable[[int, int], None]
"""Called with images drawn, and images in all."""


def draw_pairs(settings: Settings, store: Store, comparison: Comparison, on_drawn: OnDrawn) -> None:
    """Draw both models' images and put them, side by side, where Label Studio sees them.

    Raises:
        BadInput, EngineFailed, DiskFull
    """
    models = (comparison.model, comparison.against)
    folders = [_folder(settings, comparison, number) for number in range(len(models))]
    for number, (model, folder) in enumerate(zip(models, folders, strict=True)):
        if not folder.exists():
            before = number * comparison.pairs
            _draw(settings, store, comparison, model, folder, before, on_drawn)
    _place(settings, comparison, *folders)


def _folder(settings: Settings, comparison: Comparison, number: int) -> Path:
    name = ("run", "against")[number]
    return settings.run_dir(comparison.run_id) / "comparisons" / f"{comparison.number:04d}" / name


def _draw(
    settings: Settings,
    store: Store,
    comparison: Comparison,
    model: ComparedModel,
    folder: Path,
    before: int,
    on_drawn: OnDrawn,
) -> None:
    run = store.run(model.run_id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder, once=True) as partial:

        def written(index: int, image: object) -> None:
            image.save(partial / f"{index:04d}.png")  # type: ignore[attr-defined]
            on_drawn(before + index + 1, 2 * comparison.pairs)

        engine.sample_of(
            settings,
            run,
            model.epoch,
            comparison.pairs,
            prompts=comparison.prompts,
            seed=comparison.seed,
            on_image=written,
        )


def _place(settings: Settings, comparison: Comparison, of_run: Path, against: Path) -> None:
    """Copies under names, and with times, that do not tell whose they are."""
    target = settings.images_dir / comparison.id
    target.mkdir(parents=True, exist_ok=True)
    readable(settings.images_dir, target)
    time = comparison.created_at.timestamp()
    for pair in range(comparison.pairs):
        for side in SIDES:
            source = of_run if side == comparison.side_of_run(pair) else against
            path = settings.images_dir / pair_path(comparison.id, pair, side)
            if not path.exists():
                shutil.copyfile(source / f"{pair:04d}.png", path)
            os.utime(path, (time, time))
            readable(path)
