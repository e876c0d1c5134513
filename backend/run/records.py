"""What the store hands out: frozen records, never database objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from backend.run.labelling import Labelling
from backend.run.states import State

NEVER = "never"
"""Of a run's `until`: it goes on to its last epoch."""


def prompts_in_words(config: Mapping[str, Any]) -> str:
    """A run's prompt by its configuration; of several, how many and which."""
    return in_words([config["prompt"], *config.get("further_prompts", ())])


def in_words(prompts: Sequence[str]) -> str:
    """One prompt; of several, how many and which."""
    return prompts[0] if len(prompts) == 1 else f"{len(prompts)} prompts: {'; '.join(prompts)}"


@dataclass(frozen=True)
class Run:
    """A run and where it stands."""

    id: str
    prompt: str
    title: str
    config: dict[str, Any]
    """The engine's configuration (`RunConfig.flat`), as JSON."""
    labelling: Labelling
    state: State
    version: int
    """Grows by one with every change of state."""
    epoch: int
    """The epoch that is being made, labelled, or learned from; 0-based. Equals the number of
    epochs learned from."""
    project_id: int | None
    project_url: str | None
    project_gone: bool
    """Whether it was seen to be gone: the next publishing looks for it, or makes another."""
    paused_from: State | None
    """The state that a paused or failed run left and resumes to."""
    error: str | None
    """Why it failed, or what it waits for before it tries again."""
    created_at: datetime
    updated_at: datetime
    lease_owner: str | None
    lease_until: datetime | None
    fencing_token: int
    retry_at: datetime | None
    waiting_since: datetime | None
    """When the step that is tried again went wrong first."""
    polled_at: datetime | None
    stage: str | None
    stage_done: int | None
    stage_total: int | None
    stage_started_at: datetime | None
    forecast: dict[str, Any] | None = None
    """What an epoch takes, as the trial found (`hero_engine.trial.forecast.Forecast.to_dict()`);
    None where none was made."""
    parent_id: str | None = None
    """The run from whose model it goes on; None for one that began with the pretrained model."""
    parent_epoch: int | None = None
    """After how many epochs of that run."""
    parent_labels: bool = False
    """Whether it learns from the labels of that run, too."""

    @property
    def prompts(self) -> tuple[str, ...]:
        """All that it learns; most runs have one."""
        return (self.prompt, *self.config.get("further_prompts", ()))

    @property
    def held_out(self) -> tuple[str, ...]:
        """Prompts that are drawn to be looked at, and never learned from."""
        return tuple(self.config.get("held_out", ()))

    @property
    def in_words(self) -> str:
        """Its prompt; of several, how many and which."""
        return prompts_in_words(self.config)

    @property
    def epochs(self) -> int:
        """Number of epochs of the whole run."""
        return int(self.config["epochs"])

    @property
    def shown_epoch(self) -> int:
        """The epoch people see: counted from 1, never beyond the last that was made."""
        if self.state is State.finished:
            return self.epoch
        return min(self.epoch + 1, self.epochs)

    @property
    def ends_when_good_enough(self) -> bool:
        """Whether the run ends once its labels prove that the model is as good as it asks for."""
        return bool(self.config.get("until", NEVER) != NEVER)

    @property
    def images_per_epoch(self) -> int:
        """Number of images in each epoch."""
        return int(self.config["images_per_epoch"])


@dataclass(frozen=True)
class Epoch:
    """One turn of the circle; times are None until they came."""

    run_id: str
    epoch: int
    generated_at: datetime | None
    published_at: datetime | None
    labelled_at: datetime | None
    """When the verdicts were decided and the annotations frozen."""
    learned_at: datetime | None
    seconds: dict[str, float]
    """Seconds a stage: generating, publishing, labelling, learning, and the engine's own."""
    report: dict[str, Any] | None
    """The engine's report of `learn` (`hero_engine.report.Report.to_dict()`)."""
    best_index: int | None
    best_reason: str | None
    question_task_id: int | None = None
    """The task in which people are asked which image is the best, if they are."""
    further_bests: Sequence[int] | None = None
    """In a run of several prompts: the best images of other prompts than that of `best_index`."""

    @property
    def bests(self) -> tuple[int, ...]:
        """All best images: at most one a prompt."""
        first = () if self.best_index is None else (self.best_index,)
        return (*first, *(self.further_bests or ()))


@dataclass(frozen=True)
class Image:
    """An image, its task, and what people and the engine said about it."""

    run_id: str
    epoch: int
    index: int
    path: str
    """Relative to the home's images folder."""
    task_id: int | None
    """Of the image, or of the whole page in the gallery layout."""
    asked: bool
    """Whether people are asked about it, or (label budget) the embedding judges it."""
    verdict: str | None
    """good, bad, best, or None where nobody judged it; set when the epoch closes."""
    verdict_by: str | None
    """people, adjudicator, embedding or imported; None where there is no verdict."""
    verdict_reason: str | None
    reward: float | None
    """The engine's reward (Eq. 4), after learning."""
    prediction: float | None
    """The similarity to the best so far (Eq. 4), when the image was made."""
    prompt: str | None = None
    """What it was drawn with, in a run of several prompts; None where that is the run's."""


@dataclass(frozen=True)
class Annotation:
    """What one person's annotation says of one image.

    In the gallery layout one annotation of Label Studio's (`ls_id`) says something of every image
    on the page: it has a row an image, and `lead_time` is that of the whole page.
    """

    run_id: str
    ls_id: int
    epoch: int
    index: int
    task_id: int
    annotator_id: int | None
    annotator: str | None
    """E-mail address, where Label Studio gave it."""
    value: str | None
    """good, bad, best; None for a skip or an unknown value. Of a frozen one: as it was used."""
    problem: str | None
    """What is wrong with an annotation that has no usable value."""
    lead_time: float | None
    created_at: datetime
    updated_at: datetime
    was_cancelled: bool
    deleted: bool = False
    frozen: bool = False
    """Used by the epoch's verdicts."""
    late: bool = False
    """Made, changed or deleted after the epoch was closed."""
    late_value: str | None = None
    """The value of a frozen annotation after a late change."""
    pick: bool = False
    """Whether it answers which of the good images is the best, and says nothing else of its image;
    an answer that cannot be read has no value."""


By = Literal["people", "adjudicator", "embedding", "imported"]
"""Who judged an image; imported: people, before the run and outside of it."""
IMPORTED: By = "imported"


@dataclass(frozen=True)
class Verdict:
    """What an image was found to be, by whom, and why."""

    value: str | None
    """good, bad or best; None where nobody judged it."""
    by: By | None
    reason: str
    voters: int
    """Number of people whose votes on it count."""
    labelled: bool
    """Whether it has all the votes it needs."""


@dataclass(frozen=True)
class Verdicts:
    """What an epoch's annotations amount to; frozen when the epoch is closed."""

    images: tuple[Verdict, ...]
    best_index: int | None
    """In a run of several prompts, the first prompt's that has one."""
    best_reason: str
    counted: frozenset[tuple[int, int]]
    """The annotations that they are made of: Label Studio's id, and the image's index."""

    @property
    def bests(self) -> tuple[int, ...]:
        """All best images: at most one a prompt."""
        return tuple(index for index, image in enumerate(self.images) if image.value == "best")


@dataclass(frozen=True)
class ImportedBatch:
    """Pictures that people judged before the run began: its first epoch, of which nobody is asked
    any more."""

    paths: Sequence[str]
    """Relative to the home's images folder, by index."""
    verdicts: Verdicts


@dataclass(frozen=True)
class TaskLabels:
    """A task of ours and all annotations on it, as Label Studio gives them."""

    task_id: int
    epoch: int
    indexes: tuple[int, ...]
    """The image's index; in the gallery layout those of all images on the page."""
    annotations: Sequence[Mapping[str, Any]] = ()
    control: str | None = None
    """The name of the page's control in which people say good, bad or best; None for any."""
    question: bool = False
    """Whether it asks which of these images is the best, and nothing else."""


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a run, until `run.lease_until`."""

    run: Run
    worker: str
    fencing_token: int
    lease_seconds: float


JobKind = Literal["images", "export"]
"""images: draw from a run's model, before and after it has learned; export: as `hero export`."""
JobState = Literal["waiting", "working", "done", "failed"]


@dataclass(frozen=True)
class Job:
    """What somebody asked for on a run's page and a worker makes, between the steps of the runs."""

    id: int
    run_id: str
    kind: JobKind
    options: dict[str, Any]
    state: JobState
    done: int
    total: int
    """Of what it counts; 0 while that is not known."""
    error: str | None
    """Why it failed."""
    asked_at: datetime
    ended_at: datetime | None
    worker: str | None
    """Who works on it, until `lease_until`."""
    lease_until: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be made."""
        return self.state in ("waiting", "working")


@dataclass(frozen=True)
class Hint:
    """Label Studio said that something happened; the truth is fetched."""

    id: int
    run_id: str
    epoch: int | None
    action: str
    received_at: datetime
    annotation_id: int | None = None
    """The annotation that it is about, where it is about one."""


@dataclass(frozen=True)
class Counts:
    """How far the labelling of an epoch is."""

    labelled: int
    """Images that have all the votes they need."""
    total: int
    """Images that people are asked about."""
    has_best: bool
    good: int
    """Images that people, so far, call good (or best)."""
    bad: int
    complete: bool
    """Nothing more is needed to learn."""
    votes: int = 0
    """Votes there are, of those needed."""
    votes_needed: int = 0
    annotators: dict[str, int] = field(default_factory=dict)
    """Images labelled by each annotator whose votes count."""
    uncounted: dict[str, int] = field(default_factory=dict)
    """Images labelled by each annotator whose votes do not count."""
    silent: tuple[str, ...] = ()
    """The people named as annotators who have not labelled anything yet, if they are needed."""
    problems: tuple[str, ...] = ()
    """Annotations that could not be used, one sentence each."""
    undecided: int = 0
    """Number of images of which somebody has to say which is the best, once all are judged."""
    best_overruled: bool = False
    """Somebody chose a best image, and all that were chosen are bad by the votes."""
    seconds_left: float | None = None
    """At the epoch's own pace; None where that is not known."""
    bests: int = 0
    """Prompts that have a best image."""
    prompts: int = 1
    """All prompts of the run."""

    @property
    def judged(self) -> int:
        """Images that somebody has called good or bad."""
        return self.good + self.bad
