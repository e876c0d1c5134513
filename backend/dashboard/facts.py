"""What the pages say of a run, read from the store at one moment. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from backend.comparing.collect import results
from backend.comparing.result import Result
from backend.dashboard import miniatures
from backend.dashboard.epochs import EpochFacts, annotations_by_epoch, epochs_of
from backend.engine_files import row_folder
from backend.labels import progress_text
from backend.labels.agreement import RunAgreement, of_run
from backend.labels.annotation_time import seconds_spent
from backend.run.records import Annotation, Run
from backend.run.rewards import (
    compare_with_best,
    loss_in_words,
    reward_in_words,
    rewards_teach,
)
from backend.run.states import WORK, State
from backend.settings import Settings
from backend.show import run_view
from backend.show.run_view import RunView
from backend.store import Store


@dataclass(frozen=True)
class Samples:
    """Images of the model after `epochs` epochs, from the same noises every time."""

    epochs: int
    files: tuple[Path, ...]
    prompts: tuple[str, ...] = ()
    """In a run of several prompts, or with some held out: what they show, as many of each."""
    held_out: tuple[str, ...] = ()
    """Those of the prompts that were never learned from."""

    @property
    def by_prompt(self) -> list[tuple[str, range]]:
        """The numbers of each prompt's files; of a run of one prompt, all under no name."""
        names = self.prompts or ("",)
        each = len(self.files) // len(names)
        return [(name, range(i * each, (i + 1) * each)) for i, name in enumerate(names)]


@dataclass(frozen=True)
class Setting:
    """A hyper-parameter that is not at its default."""

    name: str
    value: object
    default: object
    description: str


@dataclass(frozen=True)
class RunFacts:
    """A run with everything that a page or the report shows."""

    view: RunView
    epochs: tuple[EpochFacts, ...]
    samples: tuple[Samples, ...]
    settings: tuple[Setting, ...]
    annotations: tuple[Annotation, ...]
    pixelated: bool
    """Whether the images are so small that they are shown pixel by pixel."""
    comparisons: tuple[Result, ...] = ()
    """What has come of its blind comparisons, the newest first."""
    projects: str = ""
    """Where the projects of Label Studio are; a number follows."""

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.view.run

    @property
    def reward(self) -> str:
        """What the rewards and predictions are, as a phrase."""
        return reward_in_words(self.run.config)

    @property
    def rewards_teach(self) -> bool:
        """Whether the model learns from the rewards, not from the verdicts themselves."""
        return rewards_teach(self.run.config)

    @property
    def loss(self) -> str:
        """What the policy's loss is, as a phrase."""
        return loss_in_words(self.run.config)

    @property
    def has_anchor(self) -> bool:
        """Whether rewards and predictions compare with the best image."""
        return compare_with_best(self.run.config)

    @property
    def closed(self) -> list[EpochFacts]:
        """The epochs that the model drew, whose verdicts are decided, and that people judged at
        all."""
        judged = [epoch for epoch in self.epochs if epoch.closed and epoch.judged]
        return [epoch for epoch in judged if not epoch.imported]

    @cached_property
    def kept_prompts(self) -> tuple[str, ...]:
        """Other prompts that the run keeps as they are."""
        from backend.engine import kept_prompts

        return kept_prompts(self.run.config)

    @property
    def awaited(self) -> str:
        """Who or what the run waits for, as a sentence begins."""
        said = self.view.awaited
        if self.run.state is State.labelling and self.view.counts is not None:
            said = progress_text.sentence(self.view.counts)
        return f"Epoch {self.view.epoch} of {self.run.epochs}: {said}"

    @property
    def best(self) -> EpochFacts | None:
        """The latest closed epoch that has a best image."""
        return next((epoch for epoch in reversed(self.closed) if epoch.best), None)

    @cached_property
    def agreement(self) -> RunAgreement:
        """How far people agree, and how each of them labels."""
        records = [epoch.record for epoch in self.epochs]
        return of_run(self.annotations, records, self.run.labelling)

    @property
    def late(self) -> list[Annotation]:
        """Annotations that came or changed after their epoch was closed."""
        return [row for epoch in self.epochs for row in epoch.late]

    @property
    def problems(self) -> list[Annotation]:
        """Annotations that could not be used."""
        return [row for epoch in self.epochs for row in epoch.problems]

    @property
    def labels(self) -> int:
        """Votes that counted, in the whole run."""
        return sum(epoch.annotators.total() for epoch in self.epochs)

    @property
    def people(self) -> int:
        """Those whose votes counted."""
        return len({who for epoch in self.epochs for who in epoch.annotators})

    @property
    def people_seconds(self) -> float | None:
        """Time that people spent labelling, where it is known."""
        known = [spent for spent in self.people_seconds_by_epoch.values() if spent is not None]
        return sum(known) if known else None

    @cached_property
    def people_seconds_by_epoch(self) -> dict[int, float | None]:
        """The same, by epoch (0-based)."""
        by_epoch: dict[int, list[Annotation]] = {e.record.epoch: [] for e in self.epochs}
        for row in self.annotations:
            by_epoch.setdefault(row.epoch, []).append(row)
        return {epoch: seconds_spent(rows) for epoch, rows in by_epoch.items()}

    @property
    def machine_seconds(self) -> float:
        """Time in which it drew, published and learned."""
        return sum(e.record.seconds.get(state, 0.0) for e in self.epochs for state in WORK)


def read_run(settings: Settings, store: Store, run_id: str) -> RunFacts:
    """Everything about a run.

    Raises:
        RunNotFound, RunAmbiguous: no run, or several, of that id.
    """
    view = run_view.read(store, run_id)
    run = view.run
    annotations = annotations_by_epoch(store, run)
    epochs = epochs_of(store, run, annotations)
    return RunFacts(
        view=view,
        epochs=epochs,
        samples=read_samples(settings, run),
        settings=_unusual(run),
        annotations=tuple(row for rows in annotations.values() for row in rows),
        pixelated=_is_pixelated(settings, epochs),
        comparisons=results(store, run.id),
        projects=f"{settings.public_label_studio_url}/projects",
    )


def read_samples(settings: Settings, run: Run) -> tuple[Samples, ...]:
    """The rows of samples that there are, one for each number of epochs learned from."""
    rows, shown = [], (*run.prompts, *run.held_out)
    prompts = shown if len(shown) > 1 else ()
    for epoch in sorted(row_folder(settings, run.id, 0).parent.glob("epoch-[0-9]*")):
        if files := tuple(sorted(epoch.glob("[0-9]*.png"))):
            number = int(epoch.name.removeprefix("epoch-"))
            rows.append(Samples(number, files, prompts, run.held_out))
    return tuple(rows)


def _unusual(run: Run) -> tuple[Setting, ...]:
    from backend.engine import unusual

    return tuple(Setting(*found) for found in unusual(run.config))


def _is_pixelated(settings: Settings, epochs: Sequence[EpochFacts]) -> bool:
    first = next((tile.image for epoch in epochs for tile in epoch.tiles), None)
    return first is not None and miniatures.is_small(settings.images_dir / first.path)
