"""Where that lies which people asked for on a run's page."""

from pathlib import Path

from backend.exports import KINDS
from backend.run.records import Job
from backend.settings import Settings

BY_WORKER = ("lora", "noise")
"""The kinds of export that load the model, so that a worker makes them."""


def made_in(settings: Settings, job: Job) -> Path:
    """The folder, or the file, that a job makes."""
    folder = settings.run_dir(job.run_id) / "jobs" / f"{job.id:04d}"
    if job.kind == "images":
        return folder
    what, format = job.options["what"], job.options["format"]
    name = f"{job.run_id}-{what}"
    return folder / (name if format in KINDS[what].folder else f"{name}.{format}")
