"""What Label Studio has acknowledged to the people: their own list, beside HERO's and Label
Studio's."""

import threading
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Label:
    """An annotation that a person made and has not taken back."""

    id: int
    run_id: str
    project_id: int
    task_id: int
    epoch: int
    index: int
    person: int
    value: str


class Ledger:
    """The labels of all people."""

    def __init__(self) -> None:
        self._labels: dict[int, Label] = {}
        self._lock = threading.Lock()
        self._gone_tasks: set[int] = set()
        self.gone_projects: set[int] = set()
        self.count = 0
        """Of all labels that were ever acknowledged."""

    def add(self, label: Label) -> None:
        """A new one; not that of a task that somebody has deleted meanwhile."""
        with self._lock:
            self.count += 1
            if label.task_id in self._gone_tasks or label.project_id in self.gone_projects:
                return
            self._labels[label.id] = label

    def change(self, annotation_id: int, value: str) -> None:
        """Somebody has changed their mind."""
        with self._lock:
            if annotation_id in self._labels:
                self._labels[annotation_id] = replace(self._labels[annotation_id], value=value)

    def remove(self, annotation_id: int) -> None:
        """Somebody has deleted it."""
        with self._lock:
            self._labels.pop(annotation_id, None)

    def remove_task(self, task_id: int) -> None:
        """Somebody has deleted the task, with its labels."""
        with self._lock:
            self._gone_tasks.add(task_id)
            self._keep(lambda label: label.task_id != task_id)

    def remove_project(self, project_id: int) -> None:
        """Somebody has deleted the project, with everything in it."""
        with self._lock:
            self.gone_projects.add(project_id)
            self._keep(lambda label: label.project_id != project_id)

    def labels(self) -> list[Label]:
        """Those that stand in Label Studio."""
        with self._lock:
            return list(self._labels.values())

    def _keep(self, stays: object) -> None:
        assert callable(stays)
        self._labels = {key: label for key, label in self._labels.items() if stays(label)}
