"""A run as people want to see it, read from the store at one moment: on the terminal, in a page."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.labels import progress_text
from backend.labels.progress import count_labels
from backend.run.chain import Chain
from backend.run.records import IMPORTED, Counts, Epoch, Image, Run
from backend.run.states import State
from backend.show import forecast, next_batch
from backend.show.by_prompt import PromptLine, by_prompt
from backend.show.run_model import RunModel, run_model
from backend.store import Store

STAGES = {
    State.generating: "draw",
    State.publishing: "publish",
    State.labelling: "label",
    State.learning: "learn",
}
"""The circle's stages and the words people see for them; also the names in `Epoch.seconds`."""
SENTENCE = {
    State.generating: "the model draws images",
    State.publishing: "the images go to Label Studio",
    State.labelling: "waiting for labels",
    State.learning: "the model learns from the labels",
    State.paused: "paused; go on with `hero resume`",
    State.finished: "finished",
    State.stopped: "stopped",
    State.failed: "failed; try again with `hero resume`",
}
"""What a run does or waits for, in each state."""


@dataclass(frozen=True)
class EpochLine:
    """One epoch's row; rates and seconds are None while they are not known."""

    number: int
    labelled: int
    """Images that people have labelled."""
    total: int
    """Images that people are asked about."""
    good: int
    judged: int
    """Images that have a verdict, also by the embedding (label budget)."""
    seconds: dict[str, float]
    closed: bool
    note: str
    """What was unusual when the model learned from it, or why nothing was learned; or empty."""
    drawn: int = 0
    """All its images."""
    best: int | None = None
    """The index of its best image, once that is decided."""
    imported: bool = False
    """Whether the images and verdicts are from before the run; no model of it drew them."""

    @property
    def success_rate(self) -> float | None:
        """Share of the judged images that were called good (or best); None of imported ones, which
        says nothing of the model."""
        return self.good / self.judged if self.judged and not self.imported else None


@dataclass(frozen=True)
class RunView:
    """What a person wants to know of a run, read from the store at one moment."""

    run: Run
    lines: tuple[EpochLine, ...]
    counts: Counts | None
    """Of the epoch that is being labelled; None in every other stage."""
    model: RunModel | None = None
    """The model that people get of it, where the method keeps a record."""
    question_task_id: int | None = None
    """The task in which people are asked which image of that epoch is the best, if they are."""
    seconds_left: float | None = None
    """Until there is something to label again, or the run has ended; None where nothing tells."""
    chain: Chain = field(default_factory=Chain)
    """The runs that it goes on from, and those that go on from it."""
    prompts: tuple[PromptLine, ...] = ()
    """Success by prompt, in a run of several."""

    @property
    def stage(self) -> State:
        """The stage it is in, or was in when it was paused or failed."""
        return self.run.paused_from or self.run.state

    @property
    def epoch(self) -> int:
        """The epoch people see: counted from 1, never beyond the last that was made."""
        return self.run.shown_epoch

    @property
    def progress(self) -> tuple[int, int] | None:
        """Done and total of the stage, where it counts something."""
        if self.counts is not None:
            return self.counts.labelled, self.counts.total
        if self.run.stage_total:
            return self.run.stage_done or 0, self.run.stage_total
        return None

    @property
    def note(self) -> str:
        """What people should know of the last epoch that was learned from; or empty."""
        closed = [line for line in self.lines if line.closed]
        return f"Epoch {closed[-1].number}: {closed[-1].note}" if closed and closed[-1].note else ""

    @property
    def takes(self) -> str:
        """What drawing and learning take, in words; empty where the model was not tried."""
        return forecast.in_words(self.run.forecast) if self.run.forecast else ""

    @property
    def awaited(self) -> str:
        """Who or what it waits for, in words."""
        if self.run.state is State.finished and self.model and self.model.good_enough:
            return f"good enough after {self.labels} labels: {self.model.rate}"
        if self.counts is None or self.run.state is not State.labelling:
            return f"{SENTENCE[self.run.state]}{self._how_long}"
        if not (self.counts.annotators or self.counts.silent):
            return SENTENCE[State.labelling]
        return ", ".join(progress_text.still(self.counts))

    @property
    def labels(self) -> int:
        """Images that people have labelled, in all epochs."""
        return sum(line.labelled for line in self.lines)

    @property
    def _how_long(self) -> str:
        if self.seconds_left is None or self.run.error:
            return ""
        last = self.run.state is State.learning and self.run.epoch + 1 >= self.run.epochs
        until = "the end" if last else "there is something to label"
        return f", about {progress_text.duration(self.seconds_left)} until {until}"

    @property
    def success(self) -> str:
        """Share of images called good, from the first to the latest epoch; or empty."""
        judged = [line for line in self.lines if line.success_rate is not None]
        if len(judged) == 1:
            return f"{judged[0].success_rate:.0%} in epoch {judged[0].number}"
        return " → ".join(f"{line.success_rate:.0%}" for line in (judged[:1] + judged[-1:]))

    @property
    def notices(self) -> list[str]:
        """What is to be known of labels that cannot be used."""
        return progress_text.notices(self.counts) if self.counts is not None else []


def read(store: Store, run_id: str) -> RunView:
    """The run as it is now."""
    run = store.run(run_id)
    stage = run.paused_from or run.state
    counts = None
    if stage in (State.labelling, State.learning):
        counts = count_labels(store, run.id, run.epoch)
    images = defaultdict(list)
    every = store.images(run.id)
    for image in every:
        images[image.epoch].append(image)
    epochs = store.epochs(run.id)
    prompts = by_prompt(run, epochs, every)
    lines = tuple(_line(run, epoch, images[epoch.epoch], counts) for epoch in epochs)
    left = next_batch.seconds_left(run, epochs, store.now())
    model = run_model(epochs, goes_on=run.parent_id is not None)
    chain = store.chain(run)
    if stage is not State.labelling:
        return RunView(run, lines, None, model, seconds_left=left, chain=chain, prompts=prompts)
    asked = epochs[run.epoch].question_task_id if run.epoch < len(epochs) else None
    question = asked if counts and counts.undecided else None
    return RunView(run, lines, counts, model, question, left, chain, prompts)


def _line(run: Run, epoch: Epoch, images: Sequence[Image], counts: Counts | None) -> EpochLine:
    if epoch.labelled_at is None:
        running = counts if counts and epoch.epoch == run.epoch else None
        labelled = running.labelled if running else 0
        good = running.good if running else 0
        judged = running.judged if running else 0
    else:
        labelled = sum(image.verdict_by not in (None, "embedding") for image in images)
        good = sum(image.verdict in ("good", "best") for image in images)
        judged = sum(image.verdict is not None for image in images)
    return EpochLine(
        number=epoch.epoch + 1,
        labelled=labelled,
        total=sum(image.asked for image in images),
        good=good,
        judged=judged,
        seconds=epoch.seconds,
        closed=epoch.learned_at is not None,
        note=(epoch.report or {}).get("note") or "",
        drawn=len(images),
        best=epoch.best_index,
        imported=any(image.verdict_by == IMPORTED for image in images),
    )
