"""Runs that have gone round the circle, filled by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from PIL import Image

from backend.labels import closing
from backend.run.records import Annotation, Run
from backend.run.states import Event
from backend.settings import Settings
from backend.store import Store
from backend.tasks.images import image_path
from tests.backend.votes import ballots

START = datetime(2026, 1, 1, tzinfo=UTC)


def annotations(run: Run, epoch: int, letters: Sequence[str]) -> list[Annotation]:
    """Rows for `tests.backend.votes.ballots`."""
    return [
        Annotation(
            run_id=run.id,
            ls_id=vote.ls_id,
            epoch=epoch,
            index=vote.index,
            task_id=100 * epoch + vote.index,
            annotator_id=vote.annotator_id,
            annotator=vote.annotator,
            value=vote.value,
            problem=None,
            lead_time=1.25,
            created_at=START,
            updated_at=START + timedelta(microseconds=vote.ls_id),
            was_cancelled=vote.value is None,
        )
        for vote in ballots(*letters, epoch=epoch)
    ]


def open_epoch(settings: Settings, store: Store, run: Run, rows: Iterable[Annotation]) -> Run:
    """Draw, publish and label the run's present epoch, which stays open."""
    claim = store.claim("test", 60)
    assert claim is not None
    count = run.images_per_epoch
    paths = [image_path(run.id, run.epoch, index) for index in range(count)]
    for index, path in enumerate(paths):
        file = settings.images_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * index, 80 * run.epoch, 0)).save(file)
    predictions = [index / 10 for index in range(count)] if run.epoch else None
    claim = replace(claim, run=store.batch_written(claim, paths, predictions, 1.0))
    store.published(claim, {index: 100 * run.epoch + index for index in range(count)}, 1.0)
    store.merge_annotations(run.id, run.epoch, lambda known, frozen: rows)
    return store.run(run.id)


def close_epoch(store: Store, run: Run) -> Run:
    """Decide the open epoch and learn from it."""
    run = store.transition(run, Event.labelled)
    claim = store.claim("test", 60)
    assert claim is not None
    count = run.images_per_epoch
    closing.freeze(store, claim)
    rewards = [0.1 * index - 0.2 for index in range(count)]
    store.learned(claim, {"epoch": run.epoch}, rewards, 1.0)
    store.release(claim)
    return store.run(run.id)


def two_epochs(settings: Settings, store: Store, config: dict[str, object]) -> Run:
    """A finished run of two epochs of four images: two people, a skip, a late change, a deletion.

    Verdicts are good, bad, best, bad; then bad, good, good, bad with no best.
    """
    run = store.create_run(
        {"model": "/models/tiny", **config}, run_id="rose-0", project_url="http://ls/projects/1"
    )
    run = open_epoch(settings, store, run, annotations(run, 0, ["gg", "bx", "tg", "b"]))
    run = close_epoch(store, run)
    run = open_epoch(settings, store, run, annotations(run, 1, ["b", "g", "g", "b"]))
    run = close_epoch(store, run)
    first, *_, last = store.annotations(run.id, 0)
    late = replace(first, late=True, late_value="bad"), replace(last, late=True, deleted=True)
    store.merge_annotations(run.id, 0, lambda known, frozen: late)
    return run
