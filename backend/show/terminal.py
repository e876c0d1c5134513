"""A run on one screen: stage, epoch, labelled n/64, seconds per stage, success so far.

On a terminal it is redrawn in place; elsewhere (a log file, CI) each change is one line.
"""

import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from backend.run.states import ACTIVE, ENDED, State
from backend.show.run_view import STAGES, EpochLine, RunView, read
from backend.store import Store

_BAR_BLOCKS = 16


def render(view: RunView, *, notes: tuple[str, ...] = ()) -> RenderableType:
    """The screen: head, circle, progress of the stage, a row an epoch, notes below."""
    return Padding(
        Group(
            _head(view),
            Text(),
            _circle(view),
            *(Text(said, style="dim") for said in view.chain.sentences),
            *([Text(f"drawing and learning: {view.takes}", style="dim")] if view.takes else []),
            _progress(view),
            *(Text(said, style="yellow") for said in view.notices),
            Text(),
            epoch_table(view),
            *(_by_prompt(view) if view.prompts else []),
            *([Text(f"\n{view.model.sentence}")] if view.model else []),
            *([Text(f"\n{view.note}", style="yellow")] if view.note else []),
            *(Text(note, style="dim") for note in notes),
        ),
        (1, 2),
    )


def epoch_table(view: RunView) -> Table:
    """Success and seconds per epoch."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("epoch", justify="right")
    table.add_column("labelled", justify="right")
    table.add_column("judged good", min_width=21)
    for word in STAGES.values():
        table.add_column(f"{word} s", justify="right")
    for line in view.lines:
        table.add_row(
            f"{line.number}",
            f"{line.labelled}/{line.total}",
            _bar(line),
            *(_seconds(view, line, state) for state in STAGES),
        )
    return table


def _by_prompt(view: RunView) -> list[RenderableType]:
    return [Text(), prompt_table(view)]


def prompt_table(view: RunView) -> Table:
    """Success by prompt, from its first epoch to its latest."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("prompt")
    table.add_column("judged good", no_wrap=True)
    table.add_column("in all", justify="right", no_wrap=True)
    table.add_column("its model", justify="right", no_wrap=True)
    table.add_column("images now", justify="right", no_wrap=True)
    for line in view.prompts:
        ends = line.known[:1] + line.known[1:][-1:]
        said = " → ".join(f"{rate:.0%}" for rate in ends)
        model = f"{line.model_good}/{line.model_judged}" if line.model_judged else ""
        now = str(line.next_images or "")
        table.add_row(line.prompt, said, f"{line.good}/{line.judged}", model, now)
    return table


def show_overview(views: Sequence[RunView], console: Console) -> None:
    """A row a run, the newest first; below it what it waits for and its link, each on its own line.

    So each link is whole however narrow the terminal is, and can be copied or clicked.
    """
    headings = ("run", "state", "epoch", "labelled", "success")
    rows = [_cells(view) for view in views]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    line = "  ".join(f"{{:{width}}}" for width in widths).format
    console.print(Text(line(*headings).rstrip(), style="dim"), soft_wrap=True)
    for view, row in zip(views, rows, strict=True):
        text = Text(line(*row).rstrip())
        text.stylize("bold", 0, len(view.run.id))
        console.print(text, soft_wrap=True)
        said = ": ".join(filter(None, (view.awaited, view.run.error)))
        if said != view.run.state:
            console.print(Padding(Text(said), (0, 0, 0, 2)))
        if view.run.project_url:
            console.print(Text(f"  {view.run.project_url}", style="cyan"), soft_wrap=True)


def _cells(view: RunView) -> tuple[str, ...]:
    labelled = f"{view.counts.labelled}/{view.counts.total}" if view.counts else ""
    epoch = f"{view.epoch}/{view.run.epochs}"
    return view.run.id, str(view.run.state), epoch, labelled, view.success


def watch(store: Store, run_id: str, console: Console) -> None:
    """Shows a run live until it ends; Ctrl-C leaves it alone."""
    notes = ("Ctrl-C leaves this screen; the run goes on.",)
    with contextlib.suppress(KeyboardInterrupt), Screen(console, notes=notes) as shown:
        while True:
            view = read(store, run_id)
            shown.update(view)
            if view.run.state in ENDED:
                return
            time.sleep(0.5)


def _head(view: RunView) -> RenderableType:
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right", no_wrap=True)
    several = len(view.run.prompts) > 1
    prompt = f"{len(view.run.prompts)} prompts" if several else view.run.prompt
    head.add_row(Text(prompt, style="bold"), Text(view.run.id, style="dim"))
    if not view.run.project_url:
        return head
    return Group(head, Text(view.run.project_url, style="cyan"))


def _circle(view: RunView) -> Text:
    text = Text(f"epoch {view.epoch} of {view.run.epochs}   ", style="bold")
    at = view.stage
    reached = list(STAGES).index(at) if at in STAGES else len(STAGES)
    for position, word in enumerate(STAGES.values()):
        style = "bold green" if position == reached else "green" if position < reached else "dim"
        mark = "◉" if position == reached else "●" if position < reached else "○"
        text.append(f"{mark} {word}  ", style=style)
    if view.run.state not in ACTIVE:
        ended = {State.finished: "green", State.failed: "red"}.get(view.run.state, "yellow")
        text.append(f" {view.run.state}", style=f"bold {ended}")
    return text


def _progress(view: RunView) -> RenderableType:
    said = Text(view.awaited, style="red" if view.run.state is State.failed else "")
    if view.run.error:
        said.append(f": {view.run.error}")
    if view.run.stage and view.counts is None and view.run.state in ACTIVE:
        said.append(f" ({view.run.stage})", style="dim")
    if view.progress is None or view.run.state not in ACTIVE:
        return said
    done, total = view.progress
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=total, completed=done, width=40), f"{done}/{total}", said)
    return row


def _bar(line: EpochLine) -> Text:
    if line.success_rate is None:
        return Text("")
    blocks = round(_BAR_BLOCKS * line.success_rate)
    text = Text("█" * blocks, style="green" if line.closed else "yellow")
    text.append("░" * (_BAR_BLOCKS - blocks), style="dim")
    return text.append(f" {line.success_rate:4.0%}", style="bold")


def _seconds(view: RunView, line: EpochLine, state: State) -> str:
    if state in line.seconds:
        return f"{line.seconds[state]:.1f}"
    if line.number == view.run.epoch + 1 and view.run.state is state:
        return f"{(datetime.now(UTC) - view.run.updated_at).total_seconds():.0f} …"
    return ""


class Screen:
    """Shows a run until it is left; `update` as often as you like."""

    def __init__(self, console: Console | None = None, *, notes: tuple[str, ...] = ()) -> None:
        self.console = console or Console()
        self.notes = notes
        self._live: Live | None = None
        self._said: tuple[object, ...] | None = None
        self._noted = ""
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def update(self, view: RunView) -> None:
        """Shows the run as it is now."""
        if self._live:
            self._live.update(render(view, notes=self.notes))
            return
        if view.note != self._noted:
            self._noted = view.note
            if view.note:
                self.say(view.note)
        if (key := _milestone(view)) != self._said:
            self._said = key
            elapsed = time.monotonic() - self._started
            self.console.print(f"[{elapsed:6.1f} s] {_plain(view)}", markup=False, highlight=False)

    def say(self, text: str) -> None:
        """One line above the screen that stays."""
        self.console.print(text, markup=False, highlight=False)


def _milestone(view: RunView) -> tuple[object, ...]:
    done, total = view.progress or (0, 0)
    return view.run.state, view.run.epoch, view.run.error, 4 * done // total if total else 0


def _plain(view: RunView) -> str:
    parts = [f"epoch {view.epoch} of {view.run.epochs}", f"{view.run.state}: {view.awaited}"]
    if view.progress:
        parts.append("{}/{}".format(*view.progress))
    if view.run.error:
        parts.append(view.run.error)
    rates = [line.success_rate for line in view.lines if line.closed]
    if rates:
        parts.append("success " + " ".join("-" if r is None else f"{r:.0%}" for r in rates))
    return ", ".join(parts)


class Waiting:
    """A spinner that says what is being waited for, and since when; where there is no terminal, a
    line for each thing, and one that says how long it took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._spinner = Progress(*columns, console=console, transient=True)
        self._task = self._spinner.add_task("")
        self._waits = self._spins = False
        self._since: float | None = None

    def __enter__(self) -> Self:
        self._waits, self._spins = True, self._console.is_terminal
        if self._spins:
            self._spinner.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._spins:
            self._spinner.stop()
        self._waits = self._spins = False

    def say(self, text: str) -> None:
        """What is being waited for now; once it is over, a line."""
        if self._spins:
            self._spinner.reset(self._task, description=escape(text))
            return
        self._took()
        self._console.print(f"{text} ...", markup=False, highlight=False)
        self._since = time.monotonic() if self._waits else None

    def over(self) -> None:
        """It is here."""
        self.__exit__()
        self._took()

    def _took(self) -> None:
        if self._since is not None:
            took = time.monotonic() - self._since
            self._console.print(f"  after {took:.0f} s", markup=False, highlight=False)
        self._since = None
