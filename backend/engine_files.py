"""What the engine leaves on the disk: where it lies, and whether it is what was written."""

import json
from pathlib import Path
from typing import Any

from backend.errors import FilesDamaged
from backend.files import read_checked
from backend.run.records import Run
from backend.settings import Settings
from hero_engine.errors import CheckpointError

PREDICTIONS = "predictions.json"
Report = dict[str, Any]
"""What an update did."""


def batch_folder(settings: Settings, run_id: str, epoch: int) -> Path:
    """Where an epoch's batch lies."""
    return settings.run_dir(run_id) / "batches" / f"epoch-{epoch:04d}"


def checkpoint_folder(settings: Settings, run_id: str, epoch: int) -> Path:
    """Where the model lies as it stands before an epoch (0-based) is drawn."""
    return settings.run_dir(run_id) / "checkpoints" / f"epoch-{epoch:04d}"


def row_folder(settings: Settings, run_id: str, epoch: int) -> Path:
    """Where the row of the model after `epoch` epochs lies: 0000.png, 0001.png, ..."""
    return settings.run_dir(run_id) / "samples" / f"epoch-{epoch:04d}"


def missing_rows(settings: Settings, run: Run) -> list[int]:
    """The numbers of epochs, up to the run's present one, that have no row yet."""
    if settings.sample_row == 0:
        return []
    every = range(run.epoch + 1)
    return [epoch for epoch in every if not row_folder(settings, run.id, epoch).exists()]


def read_predictions(batch: Path) -> list[float | None] | None:
    """What was expected of a batch's images, if something was.

    Raises:
        FilesDamaged: it is not there, or is not what was written.
    """
    path = batch / PREDICTIONS
    try:
        said = json.loads(path.read_text())
        # Earlier versions wrote the list alone.
        found: list[float | None] | None = (
            read_checked(path)["predictions"] if isinstance(said, dict) else said
        )
    except (OSError, ValueError, KeyError) as error:
        raise FilesDamaged(
            f"The batch in {batch} cannot be read ({PREDICTIONS}: {error}); `hero repair` draws it "
            "again: the same seed gives the same images."
        ) from error
    return found


def read_prompts(batch: Path) -> list[str]:
    """Each image's prompt, in a run of several; empty in a run of one.

    Raises:
        FilesDamaged: it is not there, or is not what was written.
    """
    from hero_engine.storage.batch import ABOUT

    path = batch / ABOUT
    try:
        found: list[str] = read_checked(path).get("prompts", [])
    except (OSError, ValueError) as error:
        raise FilesDamaged(
            f"The batch in {batch} cannot be read ({ABOUT}: {error}); `hero repair` draws it "
            "again: the same seed gives the same images."
        ) from error
    return found


def report_file(settings: Settings, run_id: str, epoch: int) -> Path:
    """Where the report of the update lies that led to that checkpoint."""
    checkpoint = checkpoint_folder(settings, run_id, epoch)
    return checkpoint.with_name(f"{checkpoint.name}.report.json")


def read_report(settings: Settings, run_id: str, epoch: int) -> Report:
    """That report.

    Raises:
        FilesDamaged: it is not there, or is not what was written.
    """
    path = report_file(settings, run_id, epoch)
    try:
        return read_checked(path)
    except (OSError, ValueError) as error:
        raise FilesDamaged(
            f"The report {path} cannot be read ({error}); `hero repair {run_id}` makes it again."
        ) from error


def trouble_of_checkpoint(settings: Settings, run_id: str, epoch: int) -> str | None:
    """What is wrong with a checkpoint's files, or its report (the first has none); None if they are
    what was written, by this version or an earlier or later one."""
    from hero_engine.storage.checkpoint import DAMAGED, checked_state

    try:
        checked_state(checkpoint_folder(settings, run_id, epoch))
        if epoch:
            read_report(settings, run_id, epoch)
    except CheckpointError:
        return None
    except (FilesDamaged, *DAMAGED) as error:
        return str(error)
    return None


def trouble_of_batch(settings: Settings, run_id: str, epoch: int) -> str | None:
    """What is wrong with a batch's files; None if they are what was written."""
    from hero_engine.storage.batch import checked_about

    folder = batch_folder(settings, run_id, epoch)
    try:
        checked_about(folder)
        read_predictions(folder)
    except CheckpointError:
        return None
    except (FilesDamaged, OSError, ValueError, KeyError) as error:
        return str(error)
    return None
