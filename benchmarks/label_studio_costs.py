"""What Label Studio's processor does for a run: how many people and runs one core serves.

    python -m benchmarks.label_studio_costs

Processor time of a Label Studio on SQLite, of all its threads, for what people and the backend ask
of it; no webhooks, no browser, one request after the other. Processor time says the same on a busy
machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil

from backend.label_studio import Gateway
from backend.run.records import Run
from backend.settings import Settings
from backend.tasks.images import image_key
from backend.tasks.label_config import template, verdict_control
from benchmarks.cells import RESULTS
from benchmarks.jobs import console
from benchmarks.real_label_studio import started
from benchmarks.sheets import Sheet
from benchmarks.written import write
from tests.e2e.conftest import RunningLabelStudio
from tests.e2e.test_browser_gallery import IMAGES, run_of

REPEATS, GALLERIES = 20, 5
NOTHING_CHOSEN = {
    "ordering": [],
    "selectedItems": {"all": False, "included": []},
    "filters": {"conjunction": "and", "items": []},
}


def measured(server: RunningLabelStudio, settings: Settings) -> dict[str, float]:
    """Milliseconds of the processor, by what they are for."""
    gateway, person = Gateway(settings), server.login()
    process = next(
        each
        for each in psutil.process_iter(["cmdline"])
        if server.url.rpartition(":")[2] in (each.info["cmdline"] or [])
    )

    def cost(act: Callable[[], Any], times: int = 1) -> float:
        def spent() -> float:
            found = process.cpu_times()
            return found.user + found.system

        before = spent()
        for _ in range(times):
            act()
        return 1000 * (spent() - before) / times

    run_of(settings, IMAGES)  # what the first one loads counts for none
    publish = cost(lambda: run_of(settings, IMAGES), 3)
    run = run_of(settings, IMAGES, layout="image")
    project = run.project_id or 0
    tasks = gateway.labels(project, run.id, 1)
    result = verdict_control(template()).result("good")

    def label(project: int, task_id: int, *results: Any) -> None:
        question = f"/api/dm/actions?id=next_task&project={project}"
        asked = {**NOTHING_CHOSEN, "project": str(project)}
        person.post(question, json=asked).raise_for_status()
        said = {"result": results, "lead_time": 1.5}
        person.post(f"/api/tasks/{task_id}/annotations/", json=said).raise_for_status()

    def label_page(run: Run) -> None:
        [page] = gateway.labels(run.project_id or 0, run.id, 1)
        keys = [image_key(run.id, 1, index) for index in range(0, IMAGES, 3)]
        said = [choices("good", keys), choices("best", keys[:1])]
        label(run.project_id or 0, page.task_id, *said)

    waiting = iter([task.task_id for task in tasks])
    galleries = iter([run_of(settings, IMAGES) for _ in range(GALLERIES)])
    return {
        "publish a gallery of 64": publish,
        "give out and take one image": cost(lambda: label(project, next(waiting), result), IMAGES),
        "give out and take a gallery of 64": cost(lambda: label_page(next(galleries)), GALLERIES),
        "look at the labels of 64 images": cost(
            lambda: gateway.labels(project, run.id, 1), REPEATS
        ),
        "open the labelling page": cost(
            lambda: person.get(f"/projects/{project}/data?labeling=1").raise_for_status(), REPEATS
        ),
    }


def choices(control: str, keys: list[str]) -> dict[str, Any]:
    """What a gallery's page says by one of its controls."""
    value = {"choices": keys}
    return {"from_name": control, "to_name": "prompt", "type": "choices", "value": value}


def main() -> None:
    """Measure, and write the table."""
    with started() as (server, settings):
        found = measured(server, settings)
    table = Sheet("Label Studio's processor time", ["what for", "ms", "a second, on one core"])
    for what, milliseconds in found.items():
        table.add(what, f"{milliseconds:.0f}", f"{1000 / milliseconds:.0f}")
    rows = [{"what": what, "milliseconds": value} for what, value in found.items()]
    write(RESULTS / "label_studio_costs.json", "label_studio_costs", rows, table, console())


if __name__ == "__main__":
    main()
