"""`hero doctor`: each thing a run needs, tried in turn; for what fails, what to do."""

import importlib.metadata
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table
from rich.text import Text

from backend.errors import BackendUnreachable, HeroServiceError, ImageUnresolvable, SettingsInvalid
from backend.images import image_path, image_url, storage_folder
from backend.label_studio import Gateway, Server, check_backend_url
from backend.local_label_studio import VERSION
from backend.settings import Settings, ensure_secrets
from backend.store import Store

PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "label-studio-sdk")
LEAST_FREE_GIGABYTES = 2.0
_TRIAL = "hero-doctor"


@dataclass(frozen=True)
class Finding:
    """One check's outcome; `advice` is empty where all is well."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """The checks, one after another; what needs Label Studio is tried in a project of its own,
    which is deleted afterwards."""
    yield _tried("Python packages", _packages)
    yield _tried("model", lambda: _model(settings))
    yield _tried("disk space", lambda: _disk(settings))
    yield _tried("database", lambda: _database(settings))
    settings = ensure_secrets(settings)
    found: list[tuple[Gateway, Server]] = []
    yield _tried("Label Studio and token", lambda: _label_studio(settings, found))
    yield _tried("backend", lambda: _backend(settings))
    yield _tried("webhook address", lambda: _webhook_address(settings))
    if not found:
        return
    gateway, _ = found[0]
    try:
        with _trial_project(gateway) as project_id:
            yield _tried("image store", lambda: _images(settings, gateway, project_id))
            yield _tried(
                "Label Studio -> backend", lambda: _connection(settings, gateway, project_id)
            )
            yield _tried("webhook round trip", lambda: _webhook(settings, gateway, project_id))
    except HeroServiceError as error:
        yield _failed("trial project", error)


def show(findings: Iterator[Finding], console: Console) -> bool:
    """Prints each finding as it comes, then what to do; whether all is well."""
    all_well = True
    width = 24
    for finding in findings:
        mark = Text("ok  ", style="green") if finding.ok else Text("FAIL", style="bold red")
        row = Table.grid(padding=(0, 1))
        row.add_column(width=4)
        row.add_column(width=width)
        row.add_column()
        row.add_row(mark, finding.name, finding.detail)
        if finding.advice:
            row.add_row("", "", Text(finding.advice, style="yellow"))
        console.print(row)
        all_well &= finding.ok
    console.print(
        "All is well." if all_well else "Something is missing: see the lines marked FAIL."
    )
    return all_well


def _tried(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except HeroServiceError as error:
        return _failed(name, error)


def _failed(name: str, error: HeroServiceError) -> Finding:
    what, _, advice = str(error).partition("; ")
    return Finding(name, False, what, advice[:1].upper() + advice[1:])


def _packages() -> str:
    missing = [name for name in PACKAGES if not _version(name)]
    if missing:
        raise SettingsInvalid(
            f"{', '.join(missing)} cannot be found; install the project with `pip install -e .`"
        )
    versions = [f"{name} {_version(name)}" for name in PACKAGES]
    own = _version("label-studio")
    versions.append(
        f"label-studio {own}" if own else "no label-studio of its own (one elsewhere is needed)"
    )
    return ", ".join(versions)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _model(settings: Settings) -> str:
    from backend import engine

    preset = None if settings.model else "tiny"
    fields = {"model": settings.model, "prompt": "photo of a rose"} if settings.model else {}
    config = engine.make_config(preset, **fields)
    engine.check(config)
    return f"{config.model}" + ("" if settings.model else " (bundled)")


def _disk(settings: Settings) -> str:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free / 1e9
    if free < LEAST_FREE_GIGABYTES:
        raise SettingsInvalid(
            f"only {free:.1f} GB are free in {settings.home}; free at least "
            f"{LEAST_FREE_GIGABYTES:.0f} GB, or set HERO_HOME to another disk."
        )
    return f"{free:.0f} GB free in {settings.home}"


def _database(settings: Settings) -> str:
    store = Store.open(settings)
    try:
        count = len(store.runs())
    finally:
        store.close()
    return f"{settings.sqlalchemy_url.partition(':')[0]}, {count} runs"


def _label_studio(settings: Settings, found: list[tuple[Gateway, Server]]) -> str:
    gateway = Gateway(settings)
    server = gateway.ping()
    found.append((gateway, server))
    token = settings.label_studio_api_key.get_secret_value()
    kind = "personal access token" if token.count(".") == 2 else "legacy token"
    tested = "" if server.version == VERSION else f", not the {VERSION} this was tested with"
    return f"{server.version}{tested} at {gateway.url}; {kind} of {server.email}"


def _backend(settings: Settings) -> str:
    try:
        answer = httpx.get(f"{settings.backend_url}/health", timeout=5, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise BackendUnreachable(
            f"nothing answers at {settings.backend_url} ({error}); start it with `hero up`, or "
            "set HERO_PORT (and HERO_URL) to where it is."
        ) from error
    return f"answers at {settings.backend_url}"


def _webhook_address(settings: Settings) -> str:
    check_backend_url(settings.backend_url)
    return f"{settings.backend_url}/webhook is one that Label Studio takes"


def _images(settings: Settings, gateway: Gateway, project_id: int) -> str:
    path = image_path(_TRIAL, 0, 0)
    folder = storage_folder(settings, _TRIAL)
    try:
        (settings.images_dir / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "white").save(settings.images_dir / path)
        gateway.connect_images(project_id, _TRIAL)
        address = image_url(settings, path)
        if not gateway.can_see(address):
            raise ImageUnresolvable(
                f"Label Studio does not show {address}; set its LOCAL_FILES_DOCUMENT_ROOT to "
                f"{settings.files_root}, or set HERO_IMAGE_STORE=signed-urls."
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return f"{settings.image_store}: Label Studio shows an image of {settings.images_dir}"


def _connection(settings: Settings, gateway: Gateway, project_id: int) -> str:
    gateway.connect_backend(project_id)
    return f"Label Studio reaches {settings.backend_url} (private addresses are allowed)"


def _webhook(settings: Settings, gateway: Gateway, project_id: int) -> str:
    before = _webhooks_received(settings)
    gateway.try_a_webhook(project_id)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if _webhooks_received(settings) > before:
            return "a label made in Label Studio was told to the backend"
        time.sleep(0.2)
    raise BackendUnreachable(
        "a label was made in Label Studio and the backend was not told; runs go on by the poll "
        f"(every {settings.poll_seconds:.0f} s), but look whether a proxy or firewall stands "
        "between them."
    )


def _webhooks_received(settings: Settings) -> float:
    password = settings.basic_auth_pass.get_secret_value()
    try:
        answer = httpx.get(
            f"{settings.backend_url}/metrics",
            auth=(settings.basic_auth_user, password),
            timeout=5,
            trust_env=False,
        )
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise BackendUnreachable(
            f"the backend's /metrics cannot be read ({error}); is it the backend of this home "
            f"({settings.home})?"
        ) from error
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "hero_requests_total" and sample.labels.get("endpoint") == "webhook"
    )


@contextmanager
def _trial_project(gateway: Gateway) -> Iterator[int]:
    project = gateway.ensure_project(_TRIAL, "HERO doctor", "a trial, deleted at once")
    try:
        yield project.id
    finally:
        gateway.delete_project(project.id)
