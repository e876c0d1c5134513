"""`hero doctor`: each thing a run needs, tried in turn; for what fails, what to do."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backend.doctor import machine, services, trial
from backend.doctor.finding import Finding, failed, tried
from backend.errors import HeroServiceError
from backend.label_studio import Gateway, Server
from backend.settings import Settings, ensure_secrets

__all__ = ["Finding", "examine", "show"]

_STYLES = {"ok": "green", "note": "yellow", "FAIL": "bold red"}


def examine(
    settings: Settings, model: str | None = None, revision: str | None = None
) -> Iterator[Finding]:
    """The checks, one after another; what needs Label Studio is tried in a project and by an
    annotator of its own, both deleted afterwards.

    Args:
        model: to look at, and to try for a moment, instead of the one of runs that name none.
        revision: of a model on the hub.
    """
    yield tried("Python packages", machine.packages)
    found = tried("model", lambda: machine.model(settings, model, revision))
    yield found
    yield tried("GPU", machine.gpu)
    home = tried("home folder", lambda: machine.disk(settings))
    yield home
    if home.level == "FAIL":
        return
    yield tried("database", lambda: machine.database(settings))
    if model is not None and found.level == "ok":
        yield tried("trial", lambda: machine.trial(settings, model, revision))
    settings = ensure_secrets(settings)
    yield tried("webhook address", lambda: services.webhook_address(settings))
    yield tried("backend", lambda: services.backend(settings))
    yield tried("worker", lambda: services.worker(settings))
    answered: list[tuple[Gateway, Server]] = []

    def look() -> str:
        answered.append(services.found(settings))
        return services.label_studio(settings, answered[0][1])

    yield tried("Label Studio", look)
    if answered:
        gateway, server = answered[0]
        yield tried("token", lambda: services.token(settings, server))
        yield tried("projects", lambda: services.projects(settings, gateway))
        try:
            yield from _trials(settings, gateway)
        except HeroServiceError as error:
            yield failed("trial project", error)


def _trials(settings: Settings, gateway: Gateway) -> Iterator[Finding]:
    with trial.project(gateway) as project_id:
        yield from _images(settings, gateway, project_id)
        connected = tried(
            "Label Studio -> backend", lambda: services.connection(settings, gateway, project_id)
        )
        yield connected
        if connected.level == "ok":
            yield tried(
                "webhook round trip", lambda: services.round_trip(settings, gateway, project_id)
            )
    yield tried("task lock", lambda: trial.task_lock(settings))


def _images(settings: Settings, gateway: Gateway, project_id: int) -> Iterator[Finding]:
    try:
        with trial.image(settings, gateway, project_id) as address:
            yield tried("image store", lambda: trial.owner_sees(settings, gateway, address))
            yield from _as_an_annotator(settings, gateway, address)
    except HeroServiceError as error:
        yield failed("image store", error)


def _as_an_annotator(settings: Settings, gateway: Gateway, address: str) -> Iterator[Finding]:
    try:
        with trial.annotator(settings, gateway) as person:
            yield tried("annotators", lambda: trial.annotator_sees(settings, person, address))
            yield tried("keyboard", lambda: trial.space_submits(person))
            yield tried("labelling pages", lambda: trial.has_what_hero_adds(person))
    except HeroServiceError as error:
        yield failed("annotators", error)


def show(findings: Iterator[Finding], console: Console) -> bool:
    """Prints each finding as it comes, then what to do; whether nothing failed."""
    levels = []
    for finding in findings:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=4)
        row.add_column(width=24)
        row.add_column(overflow="fold")
        row.add_row(Text(finding.level, _STYLES[finding.level]), finding.name, finding.detail)
        if finding.advice:
            row.add_row("", "", Text(finding.advice, style="yellow"))
        console.print(row)
        levels.append(finding.level)
    if "FAIL" in levels:
        console.print("Something is missing: see the lines marked FAIL.")
    elif "note" in levels:
        console.print("All is well, with a note.")
    else:
        console.print("All is well.")
    return "FAIL" not in levels
