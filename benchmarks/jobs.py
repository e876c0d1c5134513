"""Many runs on all cores; finished ones are kept, so that a benchmark can be interrupted."""

from __future__ import annotations

import json
import multiprocessing
import shlex
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import specs
from benchmarks.kept_runs import KeptRuns, Row, Run, Spec

LOG_WIDTH = 150

Key = TypeVar("Key", bound=Hashable)
Work = Callable[[Spec, Callable[[str], None]], Row]
"""Does one job: its specification, and whom to tell after each stage."""


@dataclass(frozen=True)
class Job:
    """One run: `spec` says all that decides its row."""

    name: str
    """No other job of the benchmark has it."""
    spec: Spec
    """A kept row counts only if it was made from the same."""
    kept: KeptRuns
    """Where its row is kept."""
    stages: int

    def finished(self) -> Row | None:
        """The kept row, if there is one."""
        wanted = json.loads(json.dumps(self.spec))
        rows = (run.row for run in self.kept.find(self.name) if specs.same(run.spec, wanted))
        return next(rows, None)

    def keep(self, row: Row) -> None:
        """Now it is finished."""
        self.kept.add(self.name, Run(self.spec, row))


def finished(jobs: Mapping[Key, Job]) -> dict[Key, Job]:
    """Those that have a kept row."""
    return {key: job for key, job in jobs.items() if job.finished() is not None}


def forget(jobs: Iterable[Job]) -> None:
    """Discard their kept rows."""
    names: dict[KeptRuns, list[str]] = {}
    for job in jobs:
        names.setdefault(job.kept, []).append(job.name)
    for kept, own in names.items():
        kept.discard(own)


def device() -> str:
    """What a run was made on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def command(benchmark: str) -> str:
    """What this process was started with, so that a shell takes it again."""
    return shlex.join(["python", "-m", f"benchmarks.{benchmark}", *sys.argv[1:]])


def console() -> Console:
    """Where progress and tables go; wide enough for a table also in a log."""
    made = Console()
    if not made.is_terminal:
        made.width = LOG_WIDTH
    return made


def run_jobs(jobs: Sequence[Job], work: Work, processes: int, screen: Console) -> list[Row]:
    """One row per job, in the jobs' order; they are begun in that order too.

    When all are done, their rows are packed.

    Args:
        jobs: the finished ones among them are not done again.
        work: a function that a new process can import.
        processes: how many run at once, each on one core.
        screen: shows a bar for each job under way.
    """
    rows = {job.name: job.finished() for job in jobs}
    waiting = [job for job in jobs if rows[job.name] is None]
    if len(waiting) < len(jobs):
        screen.print(f"{len(jobs) - len(waiting)} of {len(jobs)} runs are finished already.")
    context = multiprocessing.get_context("spawn")
    columns = (
        TextColumn("{task.fields[name]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    stages: Queue[tuple[str, int, str]] = context.Queue()
    with (
        ProcessPoolExecutor(
            min(processes, len(waiting) or 1),
            mp_context=context,
            initializer=_report_to,
            initargs=(stages,),
        ) as pool,
        Progress(*columns, console=screen, disable=not screen.is_terminal) as progress,
    ):
        bars: dict[str, Any] = {}
        futures = {pool.submit(_process, job, work): job for job in waiting}
        try:
            while futures:
                done, _ = wait(futures, timeout=1, return_when=FIRST_COMPLETED)
                while not stages.empty():
                    name, of, stage = stages.get()
                    if name not in bars:
                        bars[name] = progress.add_task(stage, total=of, name=name)
                    progress.update(bars[name], advance=1, description=stage)
                for future in done:
                    job = futures.pop(future)
                    rows[job.name] = future.result()
                    if not screen.is_terminal:
                        left = f"{len(futures)} of {len(jobs)} runs left"
                        screen.print(f"{time.strftime('%H:%M')} {job.name}: done, {left}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for kept in {job.kept for job in jobs}:
        kept.pack()
    return [row for job in jobs if (row := rows[job.name]) is not None]


_stages: Queue[tuple[str, int, str]] | None = None


def _report_to(stages: Queue[tuple[str, int, str]]) -> None:
    """Called once in each new process."""
    global _stages
    _stages = stages
    torch.set_num_threads(1)


def _process(job: Job, work: Work) -> Row:
    def on_stage(stage: str) -> None:
        if _stages is not None:
            _stages.put((job.name, job.stages, stage))

    row = {**work(job.spec, on_stage), "device": device()}
    job.keep(row)
    return row
