"""`hero demo`: the whole circle on this machine, with two simulated people, from nothing to a LoRA.

The run is an ordinary run in an ordinary Label Studio. What is special is only who labels, and that
it ends by itself. Interrupted anywhere and started again, it goes on with the same run.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as Picture
from rich.console import Console

from backend import engine
from backend.engine_files import missing_rows
from backend.errors import BadInput, DemoFailed, RunNotFound
from backend.exports import export
from backend.exports.target import file_name
from backend.files import write_text
from backend.label_studio import Gateway
from backend.local.demo_annotators import Annotators, arrive
from backend.local.stack import Address, Stack
from backend.run.states import ENDED, Event, State
from backend.settings import Settings
from backend.show import pictures, run_view, terminal
from backend.starting.start_run import start_run
from backend.store import Run, Store

PROMPT = "photo of one blue rose in a vase"
MODELS = ("tiny", "tiny-sd3", "tiny-sdxl")
"""Models that draw what the simulated annotators can judge."""
_LOCK_SECONDS = 20
"""Whoever looks into Label Studio meanwhile opens an image, for which the annotators then wait."""
_REFRESH_SECONDS = 0.25
_ROW_SECONDS = 30.0
"""Longest time that one sample row may take."""


@dataclass(frozen=True)
class Demo:
    """What the demo is asked to do; one of these settings too low or high is a `BadInput`."""

    images: int = 64
    epochs: int = 8
    steps: int | None = None
    """Denoising steps of an image; the tiny model's preset says, if None."""
    seed: int = 1
    method: str | None = None
    """What learns from the labels; the tiny model's preset says, if None."""
    model: str = MODELS[0]

    def config(self) -> dict[str, Any]:
        """The run's configuration, checked, as JSON: the tiny model's preset, with this model."""
        if self.model not in MODELS:
            raise BadInput(
                f"The demo's simulated annotators cannot judge what {self.model!r} draws; choose "
                f"{', '.join(MODELS[:-1])} or {MODELS[-1]}, or label yourself: `hero up`, and "
                "`hero start --model ...` in another terminal."
            )
        fields: dict[str, Any] = {
            "model": self.model,
            "images_per_epoch": self.images,
            "epochs": self.epochs,
            "seed": self.seed,
        }
        if self.method is not None:
            fields["method"] = self.method
        if self.steps is not None:
            usual = engine.make_config("tiny", **fields).flat()
            fields["num_inference_steps"] = self.steps
            if "trained_steps" in usual:
                fields["trained_steps"] = min(usual["trained_steps"], self.steps)
        config = engine.make_config("tiny", prompt=PROMPT, **fields)
        engine.check(config)
        return config.flat()


@dataclass(frozen=True)
class Folder:
    """What the demo leaves behind: `<home>/demo`."""

    path: Path

    @property
    def report(self) -> Path:
        """Numbers per epoch, as JSON."""
        return self.path / "report.json"

    @property
    def curve(self) -> Path:
        """Success per epoch, as a picture."""
        return self.path / "curve.png"

    def lora(self, run: Run) -> Path:
        """What was learned, as `hero export --what lora` writes it."""
        return self.path / file_name(run, "lora", "safetensors")

    @property
    def accounts(self) -> Path:
        """The annotators' passwords."""
        return self.path / "annotators.json"

    def grid(self, epoch: int) -> Path:
        """One epoch with its verdicts; `epoch` counts from 1."""
        return self.path / f"grid-epoch-{epoch}.png"


def run_demo(demo: Demo, console: Console, home: Path | None = None) -> None:
    """Runs the demo to its end and prints the table, the files and the address.

    Raises:
        DemoFailed: an epoch was not labelled in Label Studio, or not learned from.
        HeroServiceError: something on the way.
    """
    started = time.monotonic()
    config = demo.config()
    folder = Folder(Settings.load(home).home / "demo")
    folder.path.mkdir(parents=True, exist_ok=True)
    with (
        terminal.Waiting(console) as waiting,
        Stack(home, lock_seconds=_LOCK_SECONDS, say=waiting.say) as stack,
    ):
        store = Store.open(stack.settings)
        try:
            unfinished = _unfinished(store, folder, demo.model)
            run = unfinished or _begin(stack.settings, store, config, folder)
            waiting.say("two simulated annotators log in")
            annotators = arrive(
                stack.address.label_studio,
                stack.settings.label_studio_api_key.get_secret_value(),
                run.prompts,
                folder.accounts,
            )
            waiting.over()
            try:
                run = _go_round(stack, store, run, annotators, folder, console)
            finally:
                annotators.close()
            _finish(stack, store, run, folder, time.monotonic() - started)
            _tell(store, run, folder, stack.address, console)
        finally:
            store.close()


def _unfinished(store: Store, folder: Folder, model: str) -> Run | None:
    """The run of an interrupted demo of that model, gone on with if it had failed or was paused."""
    try:
        known = json.loads(folder.report.read_text())
        run = store.run(known["run"])
    except (FileNotFoundError, json.JSONDecodeError, KeyError, RunNotFound):
        return None
    if known["finished"] or run.state is State.stopped or run.config["model"] != model:
        return None
    if run.state in (State.paused, State.failed):
        run = store.transition(run, Event.resume)
    return run


def _begin(settings: Settings, store: Store, config: dict[str, Any], folder: Folder) -> Run:
    for path in folder.path.glob("grid-epoch-*.png"):
        path.unlink()
    folder.curve.unlink(missing_ok=True)
    for path in folder.path.glob("*-lora.safetensors"):
        path.unlink()
    run = start_run(settings, store, config, title="HERO demo: one blue rose")
    _write_report(store, run, folder)
    return run


def _go_round(
    stack: Stack,
    store: Store,
    run: Run,
    annotators: Annotators,
    folder: Folder,
    console: Console,
) -> Run:
    notes = (_login(stack.address), "Ctrl-C stops; `make demo` goes on from there.")
    drawn = 0
    with terminal.Screen(console, notes=notes) as shown:
        while True:
            stack.check()
            view = run_view.read(store, run.id)
            shown.update(view)
            run = view.run
            if run.state is State.labelling and run.project_id is not None:
                annotators.see_to(run.project_id)
            while drawn < run.epoch:
                _draw_grid(stack.settings, store, run, drawn, folder)
                drawn += 1
                _write_report(store, run, folder)
            if run.state in ENDED or run.state in (State.failed, State.paused):
                return run
            time.sleep(_REFRESH_SECONDS)


def _finish(stack: Stack, store: Store, run: Run, folder: Folder, seconds: float) -> None:
    if run.state is not State.finished:
        raise DemoFailed(
            f"The demo's run {run.id} is {run.state} in epoch {run.epoch + 1}"
            f"{f' ({run.error})' if run.error else ''}; run `hero demo` again to go on, and look "
            f"into {stack.address.logs} if it fails again."
        )
    _wait_for_rows(stack, run)
    lines = run_view.read(store, run.id).lines
    pictures.curve(
        [line.good for line in lines],
        [line.judged for line in lines],
        folder.curve,
        title=run.prompt,
    )
    export(stack.settings, store, run, "lora", out=folder.lora(run), force=True)
    _check_in_label_studio(Gateway(stack.settings), run)
    _write_report(store, run, folder, finished=True, seconds=seconds, address=stack.address)


def _wait_for_rows(stack: Stack, run: Run) -> None:
    """Give the worker time for the last sample rows; without them the demo is no failure."""
    missing, since = missing_rows(stack.settings, run), time.monotonic()
    while missing and time.monotonic() - since < _ROW_SECONDS:
        stack.check()
        time.sleep(_REFRESH_SECONDS)
        if (still := missing_rows(stack.settings, run)) != missing:
            missing, since = still, time.monotonic()


def _check_in_label_studio(gateway: Gateway, run: Run) -> None:
    """Counts the labels where they were made, not where we noted them."""
    for epoch in range(run.epoch):
        found = gateway.labels(run.project_id or 0, run.id, epoch)
        tasks = [task for task in found if not task.question]
        labelled = sum(bool(task.annotations) for task in tasks)
        if labelled < run.images_per_epoch:
            raise DemoFailed(
                f"Epoch {epoch + 1} of the run {run.id} has {labelled} labelled tasks of "
                f"{run.images_per_epoch} in Label Studio at {run.project_url}, although the run "
                "went on; please report this with the folder of logs."
            )


def _write_report(
    store: Store,
    run: Run,
    folder: Folder,
    *,
    finished: bool = False,
    seconds: float | None = None,
    address: Address | None = None,
) -> None:
    lines = {line.number: line for line in run_view.read(store, run.id).lines}
    epochs = [
        {
            "epoch": row.epoch,
            "labelled": lines[row.epoch + 1].labelled,
            "good": lines[row.epoch + 1].good,
            "success_rate": lines[row.epoch + 1].success_rate,
            "seconds": {name: round(value, 2) for name, value in row.seconds.items()},
            "updated": (row.report or {}).get("updated"),
            "note": (row.report or {}).get("note"),
            "grid": folder.grid(row.epoch + 1).name,
        }
        for row in store.epochs(run.id)
        if row.learned_at is not None
    ]
    report: dict[str, Any] = {"finished": finished, "epochs": epochs, "run": run.id}
    report |= {"prompt": run.prompt, "project": run.project_url}
    if seconds is not None:
        report["seconds_this_time"] = round(seconds, 1)
    if address is not None:
        report["label_studio"] = address.label_studio
    if finished:
        report["files"] = {"curve": folder.curve.name, "lora": folder.lora(run).name}
    write_text(folder.report, json.dumps(report, indent=1), private=True)


def _draw_grid(settings: Settings, store: Store, run: Run, epoch: int, folder: Folder) -> None:
    rows = store.images(run.id, epoch)
    images = [Picture.open(settings.images_dir / row.path) for row in rows]
    verdicts = [row.verdict for row in rows]
    good = sum(verdict in ("good", "best") for verdict in verdicts)
    pictures.epoch_grid(
        images,
        verdicts,
        [row.reward for row in rows],
        folder.grid(epoch + 1),
        title=f"epoch {epoch + 1} of {run.epochs}: {good} of {len(rows)} good",
    )


def _tell(store: Store, run: Run, folder: Folder, address: Address, console: Console) -> None:
    console.print()
    view = run_view.read(store, run.id)
    console.print(terminal.epoch_table(view))
    if view.model is not None:
        console.print(f"\n{view.model.sentence}", highlight=False)
    console.print()
    here = Path.cwd()
    for what, path in {
        "success per epoch": folder.curve,
        "images per epoch": folder.path / "grid-epoch-*.png",
        "LoRA": folder.lora(run),
        "numbers": folder.report,
    }.items():
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        console.print(f"  {what:18} {shown}", highlight=False)
    console.print(
        f"\nTo look at it all in Label Studio: `make up` (or `hero up`), then open\n"
        f"  {run.project_url}\n  {_login(address)}",
        highlight=False,
    )


def _login(address: Address) -> str:
    if address.email is None:
        return f"Label Studio: {address.label_studio}"
    return f"Label Studio: {address.label_studio}  {address.email}  {address.password}"
