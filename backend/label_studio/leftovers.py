"""Tasks that nobody finished before their epoch was closed, out of the way of those who label.

Label Studio hands out whatever is unfinished, oldest first: without this, people would spend their
minutes on images that teach nothing any more, before they come to those of the present epoch. It
counts a task as finished when as many people have annotated it as its `overlap` says.

The tasks are not deleted. Somebody may have one open or have left a draft of it, and a Label Studio
on SQLite gives the numbers of deleted tasks to the next epoch's: what that person submits would
land on another image.
"""

from collections.abc import Iterable
from typing import Any

from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from backend.label_studio import filters
from backend.labels.parsing import person_of
from backend.tasks.best_question import question_of
from backend.tasks.publishing import Shown


def put_away(client: LabelStudio, project_id: int, run_id: str, epoch: int) -> None:
    """Take what is unfinished of a run's epochs before this one out of the queue.

    May be repeated and may be killed anywhere: what is finished is not looked at again.
    """
    query = filters.query(filters.by_key("contains", f"{run_id}/"), filters.UNFINISHED)
    tasks: Iterable[Any] = client.tasks.list(
        project=project_id, query=query, page_size=1000, resolve_uri=False
    )
    for task_id, overlap in overlaps(tasks, run_id, epoch).items():
        try:
            client.tasks.update(str(task_id), overlap=overlap, is_labeled=True)
        except ApiError as error:
            if error.status_code != 404:
                raise


def overlaps(tasks: Iterable[Any], run_id: str, epoch: int) -> dict[int, int]:
    """Of a run's unfinished tasks before this epoch the overlap that makes them finished. Pure."""
    found: dict[int, int] = {}
    for task in tasks:
        shown = Shown.by(task.data)
        place = (shown.run_id, shown.epoch) if shown else (question_of(task.data) or ("", 0))[:2]
        if place[0] != run_id or place[1] >= epoch or task.is_labeled:
            continue
        said = [each for each in task.annotations or () if not each["was_cancelled"]]
        found[task.id] = len({person_of(each) for each in said})
    return found
