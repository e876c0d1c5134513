"""What the page to label on says of a run at one moment. Reads only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from math import ceil
from typing import Literal
from urllib.parse import quote, urlsplit

from backend import consensus
from backend.dashboard.facts import Samples, read_samples
from backend.engine_files import missing_rows
from backend.labels import progress_text
from backend.run.records import Counts, Run
from backend.run.states import ENDED, WORK, State
from backend.settings import Settings
from backend.show import next_batch, run_view
from backend.show.run_view import EpochLine, RunView
from backend.store import Store

Phase = Literal["label", "rest", "wait", "held", "over"]
"""label: there is something to label; rest: for others, and not for whoever looks; wait: the run
does something, and goes on by itself; held: it waits for a person; over: it has ended."""

_DOING = {
    State.generating: "drawing",
    State.publishing: "nearly there",
    State.learning: "learning",
}
FEW = 3
"""So few tasks from the end of a batch the page listens for each, so that it changes before Label
Studio says that no tasks are left."""
PATIENCE = timedelta(minutes=10)
"""So long after the end the last samples are waited for."""


@dataclass(frozen=True)
class Reader:
    """Somebody who labels, as the page knows them."""

    name: str = ""
    """The e-mail address that they chose on the page."""
    done: str = ""
    """The batch of which they or Label Studio said that nothing is left for them."""
    left: int | None = None
    """Images that Label Studio still has for them; None where that is not known."""


@dataclass(frozen=True)
class LabellingPage:
    """A run as somebody who labels it wants to see it."""

    view: RunView
    unseen: int
    """Annotations that Label Studio has told of and that are not fetched yet."""
    share_done: float | None
    """How much of the time until the next batch is over."""
    samples: tuple[Samples, ...]
    """After the end: what the model drew before, and what it draws now."""
    samples_come: bool
    """Whether the last of them are still being drawn."""
    reader: Reader = Reader()
    """Who looks."""

    @property
    def run(self) -> Run:
        """The run itself."""
        return self.view.run

    @property
    def phase(self) -> Phase:
        """What the page is for now."""
        if self.run.state in ENDED:
            return "over"
        if self.run.state in WORK or (self.run.state is State.labelling and self._all_is_told):
            return "wait"
        if self.run.state is State.labelling and (self._tasks_left or self.asked):
            return "rest" if self._reader_is_done and not self.asked else "label"
        return "held"

    @property
    def _counts(self) -> Counts:
        counts = self.view.counts
        assert counts is not None
        return counts

    @property
    def _tasks_left(self) -> int:
        """Tasks that have to be submitted until the batch is labelled, as far as was fetched."""
        votes = self._counts.votes_needed - self._counts.votes
        in_a_task = 1
        if self.run.labelling.layout == "gallery":
            in_a_task = ceil(self._counts.total / len(self.run.prompts))
        return ceil(votes / max(in_a_task, 1))

    @property
    def _all_is_told(self) -> bool:
        """Whether, by what Label Studio has told, the batch is labelled or may well be."""
        if self._tasks_left:
            return self._tasks_left <= self.unseen
        # The question which image is the best comes after the next look, or is answered already.
        coming = self.view.question_task_id is None and not self.run.error
        return self._counts.complete or coming or (self.asked and self.unseen > 0)

    @property
    def asked(self) -> bool:
        """Whether all is judged, and people are asked which image is the best."""
        return self.view.question_task_id is not None and not self._tasks_left

    @cached_property
    def left(self) -> int:
        """Images that wait for a label."""
        counts = self._counts
        told = self.unseen if self.run.labelling.layout == "image" else 0
        return max(counts.total - counts.labelled - told, 0)

    @property
    def place(self) -> str:
        """The batch, whatever is asked of it."""
        return f"{self.run.project_id}-{self.run.epoch}"

    @property
    def batch(self) -> str:
        """Changes when Label Studio has to be asked for other tasks."""
        question = f"-{self.view.question_task_id}" if self.phase == "label" and self.asked else ""
        return f"{self.place}{question}"

    @property
    def _reader_is_done(self) -> bool:
        return self.reader.done == self.place or (self.several and self.reader.left == 0)

    @property
    def people(self) -> list[str]:
        """Those who may be looking: whom the run names, and who has labelled this batch."""
        plan = self.run.labelling
        named = [*plan.annotators, *plan.adjudicators, *self._counts.annotators]
        return list(dict.fromkeys(name for name in named if "@" in name))

    @property
    def rest(self) -> str:
        """What of the batch is open when somebody's own part is done."""
        counts = self._counts
        need = "needs" if self.left == 1 else "need"
        said = f"{self.left} of {counts.total} images still {need} {self._lacking}"
        others = [name for name in self._expected if name != self.reader.name]
        return f"{said}. Waiting for {' and '.join(others)}" if others else said

    @property
    def _lacking(self) -> str:
        votes = self._counts.votes_needed - self._counts.votes
        return "a label" if self._counts.votes_needed == self._counts.total else f"{votes} votes"

    @property
    def _expected(self) -> list[str]:
        """Those who have not labelled everything, as far as they are known."""
        counts = self._counts
        whole = counts.total
        if counts.votes_needed > whole:
            known = {name: counts.annotators.get(name, 0) for name in self.people}
            return [name for name, labelled in known.items() if labelled < whole]
        return list(counts.annotators) if self.several else []

    @property
    def title(self) -> str:
        """For the browser's tab: `64 to label`, `learning, 40 s`."""
        if self.phase == "label":
            return "which is the best?" if self.asked else f"{self.left} to label"
        if self.phase == "rest":
            return "done, others still label" if self.several else f"{self.left} open elsewhere"
        if self.phase != "wait":
            return "best is missing" if self.run.state is State.labelling else str(self.run.state)
        doing = _DOING.get(self.run.state, "nearly there")
        if self.view.seconds_left is None:
            return doing
        return f"{doing}, {progress_text.duration(self.view.seconds_left)}"

    @property
    def line(self) -> str:
        """`epoch 2 of 8, image 12 of 64, best: not yet`"""
        counts, epoch = self._counts, f"epoch {self.view.epoch} of {self.run.epochs}"
        if self.asked:
            return f"{epoch}, one question left: which of {counts.undecided} images is the best?"
        if self.run.labelling.layout == "gallery":
            pages = len(self.run.prompts)
            said = "one page" if pages == 1 else f"{pages} pages, one a prompt"
            return f"{epoch}, {counts.total} images on {said}"
        if self.several:
            where = f"{counts.total - self.left} of {counts.total} labelled"
        else:
            where = f"image {min(counts.total - self.left + 1, counts.total)} of {counts.total}"
        best = "chosen" if counts.has_best else "not yet"
        if counts.prompts > 1:
            best = f"{counts.bests} of {counts.prompts}"
        return f"{epoch}, {where}, best: {best}"

    @property
    def several(self) -> bool:
        """Whether others may still label when somebody's own part is done."""
        counts = self._counts
        return counts.votes_needed > counts.total or len(counts.annotators) > 1

    @property
    def awaited(self) -> str:
        """Who or what the run waits for."""
        if self.run.state is State.labelling and self.phase == "wait":
            counts = self._counts
            more = counts.undecided and not self._tasks_left and not self.unseen
            return "one question comes" if more else "all labels are there; one moment"
        return self.view.awaited

    @property
    def tell(self) -> str:
        """For a notification, when the phase or the batch changes."""
        return f"{self.title} · {self.run.title}"

    @property
    def last(self) -> EpochLine | None:
        """The last batch that was judged."""
        judged = [line for line in self.view.lines if line.judged and self._is_past(line)]
        return judged[-1] if judged else None

    @property
    def first(self) -> EpochLine | None:
        """The first batch that was judged."""
        return next((line for line in self.view.lines if line.judged), None)

    def _is_past(self, line: EpochLine) -> bool:
        return self.run.state is not State.labelling or line.number <= self.run.epoch

    @property
    def seconds(self) -> float | None:
        """After how long a browser should ask again; None if nothing will change."""
        if self.phase == "over":
            return 3 if self.samples_come else None
        return 0.5 if self.run.state is State.labelling and self.phase == "wait" else 1

    @property
    def nears_end(self) -> bool:
        """Whether the next few tasks may be the last of the batch."""
        mine = self.reader.left
        return self.phase == "label" and (
            self._tasks_left <= FEW or (self.several and mine is not None and mine <= FEW)
        )


def read_labelling_page(
    settings: Settings, store: Store, run_id: str, me: str = "", done: str = ""
) -> LabellingPage:
    """The page as it is now.

    Args:
        me: who looks, where they said it.
        done: the batch of which they or Label Studio said that nothing is left for them.

    Raises:
        RunNotFound, RunAmbiguous: no run, or several, of that id.
    """
    view = run_view.read(store, run_id)
    over = view.run.state in ENDED
    rows = read_samples(settings, view.run) if over else ()
    return LabellingPage(
        view=view,
        unseen=store.unseen(view.run) if view.run.state is State.labelling else 0,
        share_done=next_batch.share_done(view.run, view.seconds_left, store.now()),
        samples=before_and_after(rows),
        samples_come=view.run.state is State.finished
        and store.now() - view.run.updated_at < PATIENCE
        and bool(missing_rows(settings, view.run)),
        reader=Reader(me, done, _left_for(store, view.run, me) if me else None),
    )


def _left_for(store: Store, run: Run, me: str) -> int | None:
    """Images of the open epoch that Label Studio would still give to somebody; None where it is not
    known who that is."""
    if run.state is not State.labelling:
        return None
    plan = run.labelling
    votes = consensus.latest_votes(store.votes(run.id, run.epoch), plan)
    by_me = {vote.index for vote in votes if consensus.name_of(vote) == me}
    if not by_me and me not in (*plan.annotators, *plan.adjudicators):
        return None
    there = Counter(vote.index for vote in votes)
    asked = [image.index for image in store.images(run.id, run.epoch) if image.asked]
    return sum(there[i] < plan.annotators_per_image and i not in by_me for i in asked)


def pulse(store: Store, run_id: str) -> str:
    """Changes as soon as Label Studio tells of a label; costs far less than the page."""
    run = store.run(run_id)
    return f"{run.version}-{run.polled_at}-{store.unseen(run)}"


def before_and_after(rows: Sequence[Samples]) -> tuple[Samples, ...]:
    """The first and the last row, from the same noises."""
    return (rows[0], rows[-1]) if len(rows) > 1 else ()


def stream(settings: Settings, run: Run) -> str | None:
    """Where Label Studio gives a person one task after the other; by its login page, which leads on
    who is logged in already."""
    if run.project_url is None:
        return None
    tasks = f"{urlsplit(run.project_url).path}/data/?labeling=1"
    return f"{settings.public_label_studio_url}/user/login/?next={quote(tasks, safe='')}"


def origin(url: str) -> str:
    """The scheme and the host of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
