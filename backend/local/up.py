"""`hero up`: everything started, the way in printed, and kept running until Ctrl-C."""

import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.panel import Panel

from backend.dashboard import access
from backend.local.stack import Stack, interruptible
from backend.run.states import ACTIVE
from backend.show.terminal import Waiting
from backend.store import Run, Store

_CHECK_SECONDS = 0.5


def keep_up(console: Console, home: Path | None = None) -> None:
    """Starts what is needed and returns when a signal says so, with every process ended."""
    try:
        with (
            interruptible(),
            Waiting(console) as waiting,
            Stack(home, say=waiting.say) as stack,
        ):
            waiting.over()
            runs = _unfinished(stack)
            console.print(_welcome(stack, runs))
            what = "page to label on" if runs else "run pages"
            console.print(f"Open the {what} by this link (once; `hero link` prints another):")
            newest = runs[0].id if runs else ""
            console.print(access.link(stack.settings, newest, to_label=bool(runs)), soft_wrap=True)
            while True:
                stack.check()
                time.sleep(_CHECK_SECONDS)
    except KeyboardInterrupt:
        console.print("Stopped; `hero up` goes on from here.")


def _before_hero() -> list[str]:
    """What a shell has to be told before it knows the command `hero`; nothing if it does."""
    folder = Path(sys.executable).parent
    found = shutil.which("hero")
    if found is not None and Path(found).resolve() == (folder / "hero").resolve():
        return []
    script = folder / "activate"
    here = Path.cwd()
    shown = script.relative_to(here) if script.is_relative_to(here) else script
    return [f"source {shown}"] if script.exists() else []


def _unfinished(stack: Stack) -> list[Run]:
    store = Store.open(stack.settings)
    try:
        return [run for run in store.runs() if run.state in ACTIVE]
    finally:
        store.close()


def _welcome(stack: Stack, runs: list[Run]) -> Panel:
    address = stack.address
    lines = [f"[bold]Label Studio[/]  {address.label_studio}"]
    if address.email:
        lines += [f"  e-mail      {address.email}", f"  password    {address.password}"]
    lines += [
        f"[bold]Run pages[/]     {stack.settings.page_url()}",
        f"[bold]Backend[/]       {address.backend}",
        f"[bold]Logs[/]          {address.logs}",
        "",
    ]
    if runs:
        lines += ["These runs go on:"]
        for run in runs:
            lines += [f"  {run.id}  ({run.state})", f"    {stack.settings.label_url(run.id)}"]
    else:
        lines += [
            "Start a run in the browser, by the link below, or in another terminal:",
            *[f"  {line}" for line in _before_hero()],
            "  hero start --prompt 'photo of one blue rose in a vase'",
        ]
    if address.email:
        lines += ["", "Others label too: Organization > Add People gives a link to sign up with."]
    lines += ["", "[dim]Ctrl-C stops everything; the runs go on at the next start.[/]"]
    return Panel("\n".join(lines), title="HERO is up", expand=False, padding=(1, 2))
