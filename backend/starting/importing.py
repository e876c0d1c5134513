"""Labels that people made before a run -> the run's first epoch."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend import engine
from backend.engine_files import batch_folder
from backend.errors import BadInput
from backend.labels.judged import Judged
from backend.labels.judged_export import Words, read_export
from backend.labels.judged_folder import read_folder
from backend.labels.pictures import check_pictures, fitted, fitting
from backend.run.labelling import Labelling
from backend.run.records import ImportedBatch
from backend.settings import Settings
from backend.tasks.images import place_images

Read = Callable[[Labelling], Judged]
"""Reads pictures and labels, by the vote rules of the run that will learn from them."""


def read_source(source: Path, words: Words, pictures: Path | None, labelling: Labelling) -> Judged:
    """The judged pictures of folders, or of an export of Label Studio.

    Args:
        words: what people chose in the export's project.
        pictures: where the export's images lie; beside it if None.

    Raises:
        BadInput
    """
    if source.is_dir():
        if words != Words() or pictures is not None:
            raise BadInput(
                f"Cannot import {source}: it is a folder, and --pictures, --good, --bad, --best "
                "and --skip are for an export; leave them out."
            )
        return read_folder(source)
    return read_export(source, words, pictures, labelling)


def read_for(
    config: engine.RunConfig, labelling: Labelling, read: Read, note: Callable[[str], None]
) -> tuple[engine.RunConfig, Judged]:
    """The judged pictures that a run begins with, and its configuration with an epoch for them.

    Raises:
        BadInput: the run cannot learn from them, or they cannot be used.
    """
    method = config.method.name
    if not engine.learns_from_images(method):
        raise BadInput(
            f"Cannot import labels into a run of the method {method}: it does not learn from "
            "pictures that its own model did not draw, step by step; use --method hero+."
        )
    if len(config.prompts) > 1:
        raise BadInput(
            "Cannot import labels into a run of several prompts: nothing says which picture is of "
            "which prompt; name one prompt."
        )
    judged = read(labelling)
    sizes = check_pictures(judged.pictures)
    for said in (*judged.notes, fitting(sizes, *_size(config.flat()))):
        if said:
            note(said)
    return config.replaced(epochs=config.epochs + 1), judged


@contextmanager
def laid_down(
    settings: Settings, run_id: str, config: Mapping[str, Any], judged: Judged
) -> Iterator[ImportedBatch]:
    """The pictures as the batch of the run's first epoch, where people see them; gone again if the
    block fails.

    Raises:
        EngineFailed, DiskFull, OSError
    """
    folder = batch_folder(settings, run_id, 0)
    height, width = _size(config)
    pictures = (fitted(path, height, width) for path in judged.pictures)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        engine.write_pictures(folder, config["prompt"], pictures)
        paths = place_images(settings, folder / "images", run_id, 0)
        yield ImportedBatch(paths, judged.verdicts)
    except BaseException:
        for place in (settings.run_dir(run_id), settings.images_dir / run_id):
            shutil.rmtree(place, ignore_errors=True)
        raise


def _size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the images that the run draws, in pixels."""
    size = engine.image_size(config)
    if size is None:
        raise BadInput(
            f"Cannot import labels: the model {config['model']} does not say how large its "
            "images are; say --height and --width."
        )
    return size
