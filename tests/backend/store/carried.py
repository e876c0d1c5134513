"""A run that is carried through an epoch, step by step."""

from dataclasses import replace

from backend import consensus
from backend.run.records import Annotation, Claim, Run
from backend.run.states import Event
from backend.store import Store
from tests.backend.conftest import CONFIG, Clock

PATHS = [f"run/0000/{index:04d}.png" for index in range(4)]


def claimed(store: Store, worker: str = "a") -> Claim:
    claim = store.claim(worker, 60)
    assert claim is not None
    return claim


def carry_to_labelling(store: Store, project_id: int | None = None, **config: object) -> Run:
    store.create_run({**CONFIG, **config}, project_id=project_id)
    claim = claimed(store)
    run = store.batch_written(claim, PATHS, None, 1.5)
    return store.published(replace(claim, run=run), {i: 100 + i for i in range(4)}, 0.5)


def annotation(run: Run, ls_id: int, index: int, value: str | None, clock: Clock) -> Annotation:
    return Annotation(
        run_id=run.id,
        ls_id=ls_id,
        epoch=run.epoch,
        index=index,
        task_id=100 + index,
        annotator_id=1,
        annotator="ann@example.com",
        value=value,
        problem=None if value else "unknown",
        lead_time=2.0,
        created_at=clock.now,
        updated_at=clock.now,
        was_cancelled=False,
    )


def label(store: Store, run: Run, values: list[str | None], clock: Clock) -> None:
    rows = [annotation(run, 1 + i, i, value, clock) for i, value in enumerate(values)]
    store.merge_annotations(run.id, run.epoch, lambda known, frozen: rows)


def carry_to_learning(
    store: Store, clock: Clock, values: list[str | None], **config: object
) -> Claim:
    run = carry_to_labelling(store, **config)
    label(store, run, values, clock)
    store.transition(run, Event.labelled)
    claim = claimed(store)
    rows = store.annotations(run.id, run.epoch)
    assert store.freeze(claim, rows, consensus.decide(rows, 4))
    return claim
