"""All runs at a glance: those that are looked for, each with its latest batch. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from backend.run.records import Run
from backend.run.states import ACTIVE
from backend.show import run_view
from backend.show.run_view import EpochLine, RunView
from backend.store import Store


@dataclass(frozen=True)
class Wanted:
    """Which runs are looked for; an empty one asks for nothing."""

    text: str = ""
    """Stands in the prompt, the title or the id."""
    state: str = ""
    method: str = ""

    @property
    def anything(self) -> bool:
        """Whether only some runs are looked for."""
        return bool(self.text.strip() or self.state or self.method)

    def fits(self, run: Run) -> bool:
        """Whether a run is one of them."""
        said = f"{run.prompt} {run.title} {run.id}".casefold()
        words = self.text.casefold().split()
        return (
            all(word in said for word in words)
            and self.state in ("", run.state)
            and self.method in ("", method_of(run))
        )


@dataclass(frozen=True)
class Overview:
    """The runs that are looked for, and what there is to look for."""

    wanted: Wanted
    views: Sequence[RunView]
    """Those that fit, the newest first."""
    every: Sequence[Run]

    @cached_property
    def states(self) -> list[str]:
        """The states in which there are runs."""
        return sorted({str(run.state) for run in self.every})

    @cached_property
    def methods(self) -> list[str]:
        """The methods of the runs."""
        return sorted({method_of(run) for run in self.every})

    @property
    def running(self) -> bool:
        """Whether one of them goes round the circle."""
        return any(view.run.state in ACTIVE for view in self.views)


def read_overview(store: Store, wanted: Wanted) -> Overview:
    """The runs as they stand now."""
    every = store.runs()
    views = [run_view.read(store, run.id) for run in every if wanted.fits(run)]
    return Overview(wanted, views, every)


def latest_batch(view: RunView) -> EpochLine | None:
    """The newest epoch that has images."""
    return next((line for line in reversed(view.lines) if line.drawn), None)


def method_of(run: Run) -> str:
    """What learns from the labels."""
    return str(run.config.get("method", "hero"))
