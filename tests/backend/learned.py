"""A run whose model has really learned, from a pipeline with random weights."""

from pathlib import Path

from backend import engine as engine_module
from backend.engine import Engine


def learned(settings, store, pipeline: Path | str, verdicts: list[str], best: int | None, **size):
    """A run after its first epoch."""
    fields = {
        "model": str(pipeline),
        "prompt": "a 'b' rose",
        "negative_prompt": "cup",
        "images_per_epoch": 4,
        "epochs": 2,
        "num_inference_steps": 3,
        "embedding_steps": 3,
        "trained_steps": 2,
        "minibatch_size": 4,
        "learning_rate": 1e-2,
        **size,
    }
    for foreign in engine_module.foreign_settings(None, fields):
        if foreign not in size:
            del fields[foreign]
    run = store.create_run(engine_module.make_config(**fields).flat())
    engine = Engine(settings)
    engine.generate(run, lambda *_: None)
    engine.learn(run, verdicts, () if best is None else (best,), lambda *_: None)
    with store._write() as connection:
        from backend.store.rows import update

        update(connection, run.id, epoch=1)
    return store.run(run.id)
