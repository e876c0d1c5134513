"""How quickly the backend answers webhooks while people label.

    python -m benchmarks.webhooks [--count 10000] [--each-second 100]

The web process of a home folder of its own (SQLite) gets webhooks as Label Studio sends them, each
on a new connection: labels made, changed and deleted in four runs, a tenth of them twice, in any
order. Label Studio waits for each answer inside of an annotator's request, so what counts is the
time from connecting to the answer. Beside it a process does to the same database what a worker does
while people label: it takes the hints, and reads and writes the labels of the runs that they name.
Where the machine is not idle, the processor time of a webhook says more than the time it took.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psutil

from backend.labels import collect
from backend.local.processes import Child, free_port, stop, wait_until
from backend.run.records import Run, TaskLabels
from backend.run.webhook_contract import SECRET_HEADER
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.tasks.label_config import template, verdict_control
from benchmarks.cells import RESULTS
from benchmarks.jobs import command, console
from benchmarks.sheets import Sheet

RUNS, IMAGES, PEOPLE = 4, 640, 8
PERCENTILES = (50, 90, 99, 99.9)
_CONTROL = verdict_control(template())
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Labels:
    """A Label Studio in which the labels of a run appear one after another."""

    began: float
    seconds: float

    def labels(self, project_id: int, run_id: str, epoch: int) -> list[TaskLabels]:
        """The tasks, and the labels that have been made so far."""
        share = min((time.monotonic() - self.began) / self.seconds, 1.0)
        there = int(share * IMAGES)
        return [
            TaskLabels(
                task_id(project_id, index),
                epoch,
                (index,),
                [annotation(project_id, index)] if index < there else [],
            )
            for index in range(IMAGES)
        ]

    def remove_tasks(self, task_ids: Collection[int]) -> None:
        """There are no doubles."""

    def emails(self, wanted: Collection[int]) -> dict[int, str]:
        """Everybody has one."""
        return {number: f"person-{number}@example.com" for number in wanted}


def task_id(project_id: int, index: int) -> int:
    return 10_000 * project_id + index


def annotation(project_id: int, index: int) -> dict[str, Any]:
    made = (_START + timedelta(seconds=index)).isoformat()
    said = _CONTROL.result("good" if index % 3 else "bad")
    return {
        "id": 100_000 + task_id(project_id, index),
        "result": [said],
        "completed_by": 1 + index % PEOPLE,
        "created_at": made,
        "updated_at": made,
        "was_cancelled": False,
        "lead_time": 2.0,
    }


def webhooks(count: int, rng: random.Random) -> list[bytes]:
    """The bodies, in any order."""
    bodies: list[bytes] = []
    while len(bodies) < count:
        project, index = rng.randint(1, RUNS), rng.randrange(IMAGES)
        said = annotation(project, index)
        kind = rng.choices(("CREATED", "UPDATED", "DELETED"), (6, 3, 1))[0]
        body: dict[str, Any] = {"project": {"id": project, "title": "roses"}}
        if kind == "DELETED":
            body |= {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": said["id"]}]}
        else:
            task = {"id": task_id(project, index), "data": {"prompt": "one rose"}, "meta": {}}
            body |= {"action": f"ANNOTATION_{kind}", "annotation": said, "task": task}
        bodies += [json.dumps(body).encode()] * (2 if rng.random() < 0.1 else 1)
    del bodies[count:]
    rng.shuffle(bodies)
    return bodies


def filled(settings: Settings) -> list[Run]:
    """Runs that people label, each with a project."""
    store, runs = Store.open(settings), []
    try:
        for project in range(1, RUNS + 1):
            config = {"prompt": "one rose", "epochs": 1, "images_per_epoch": IMAGES}
            store.create_run(config, project_id=project)
            claim = store.claim("benchmark", 60)
            assert claim is not None
            paths = [f"{project}/{index}.png" for index in range(IMAGES)]
            drawn = store.batch_written(claim, paths, None, 1.0)
            published = {index: task_id(project, index) for index in range(IMAGES)}
            runs.append(store.published(replace(claim, run=drawn), published, 1.0))
    finally:
        store.close()
    return runs


def follow(settings: Settings, seconds: float, ready: Event, ending: Event) -> None:
    """What a worker does with hints."""
    store, source = Store.open(settings), Labels(time.monotonic(), seconds)
    ready.set()
    while not ending.wait(0.5):
        for run, hints in store.take_due(30.0):
            collect.reconcile(store, source, run)
            store.clear_hints(hints)
    store.close()


class Sender:
    """Sends its share of the webhooks, some each second, and times the answers."""

    def __init__(self, port: int, secret: str, each_second: float, seed: int) -> None:
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self._headers = {"Content-Type": "application/json", SECRET_HEADER: secret}
        self._port, self._each_second, self._rng = port, each_second, random.Random(seed)

    def send(self, bodies: Sequence[bytes]) -> None:
        """One after another, at moments that do not wait for the answers."""
        due = time.perf_counter()
        for body in bodies:
            due += self._rng.expovariate(self._each_second)
            time.sleep(max(due - time.perf_counter(), 0))
            began = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            connection.request("POST", "/webhook", body, self._headers)
            self.statuses[connection.getresponse().status] += 1
            connection.close()
            self.seconds.append(time.perf_counter() - began)


def measured(count: int, each_second: float) -> dict[str, Any]:
    """What the answers took."""
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder) / "home", free_port()
        settings = ensure_secrets(Settings(home=home, port=port))
        runs = filled(settings)
        env = {**os.environ, "HERO_HOME": str(home), "HERO_PORT": str(port)}
        env["LOG_LEVEL"] = "WARNING"
        child = Child("web", [sys.executable, "-m", "backend.web"], env, home / "log", Path.cwd())
        context = multiprocessing.get_context("spawn")
        ready, ending = context.Event(), context.Event()
        told = (settings, count / each_second, ready, ending)
        worker = context.Process(target=follow, args=told, daemon=True)
        try:
            child.start()
            assert wait_until(
                lambda: port in child.listening_ports(), seconds=60, alive=lambda: child.alive
            ), child.last_words()
            worker.start()
            assert ready.wait(120)
            used = _processor_seconds(child)
            senders = list(_sent(webhooks(count, random.Random(0)), settings, each_second))
            used = _processor_seconds(child) - used
            ending.set()
            worker.join(60)
        finally:
            stop([child])
        store = Store.open(settings)
        known = sum(len(store.annotations(run.id)) for run in runs)
        store.close()
    taken = sorted(second for sender in senders for second in sender.seconds)
    cuts = statistics.quantiles(taken, n=1000, method="inclusive")
    return {
        "count": len(taken),
        "statuses": dict(sum((sender.statuses for sender in senders), Counter())),
        "labels_read_meanwhile": known,
        "processor_milliseconds": 1000 * used / len(taken),
        "milliseconds": {f"p{p}": 1000 * cuts[int(10 * p) - 1] for p in PERCENTILES}
        | {"max": 1000 * taken[-1]},
    }


def _processor_seconds(child: Child) -> float:
    times = psutil.Process(child.pid).cpu_times()
    return float(times.user + times.system)


def _sent(bodies: list[bytes], settings: Settings, each_second: float) -> Iterator[Sender]:
    """The senders, when all of them are through."""
    secret = settings.webhook_secret.get_secret_value()
    senders = [Sender(settings.port, secret, each_second / PEOPLE, n) for n in range(PEOPLE)]
    threads = [
        threading.Thread(target=sender.send, args=(bodies[n::PEOPLE],))
        for n, sender in enumerate(senders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield from senders


def sheet(found: dict[str, Any]) -> Sheet:
    """The percentiles."""
    times = found["milliseconds"]
    title = "Milliseconds from connecting to the answer, and of the processor"
    table = Sheet(title, ["webhooks", *times, "processor, mean"])
    mean = f"{found['processor_milliseconds']:.1f}"
    table.add(found["count"], *(f"{value:.1f}" for value in times.values()), mean)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--each-second", type=float, default=100.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "webhooks.json")
    said = parser.parse_args()
    before = os.getloadavg()[0]
    found = measured(said.count, said.each_second)
    result = {
        "command": command("webhooks"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_average": {"before": before, "after": os.getloadavg()[0]},
        "each_second": said.each_second,
        **found,
    }
    said.out.write_text(json.dumps(result, indent=1) + "\n")
    table = sheet(found)
    note = (
        f"`{result['command']}` on {result['machine']}, load average {before:.1f} before and "
        f"{os.getloadavg()[0]:.1f} after; {said.each_second:.0f} webhooks each second by {PEOPLE} "
        f"senders, answers {found['statuses']}; {found['labels_read_meanwhile']} labels read "
        "meanwhile.\n"
    )
    said.out.with_suffix(".md").write_text(f"{table.title}\n\n{table.markdown()}\n{note}")
    console().print(table.rich())


if __name__ == "__main__":
    main()
