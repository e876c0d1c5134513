"""The services a run needs: Label Studio, the backend, the worker, and the ways between them."""

import base64
import binascii
import json
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from backend.addresses import get
from backend.doctor.finding import Note
from backend.errors import BackendUnreachable, ProjectGone
from backend.label_studio import Gateway, Server, check_backend_url
from backend.run.states import ACTIVE
from backend.settings import Settings
from backend.store import Store
from backend.worker import liveness

TOKEN_EXPIRES_SOON_DAYS = 14


def label_studio(settings: Settings, server: Server) -> str:
    """It answers, and is the version that this was tested with."""
    where = f"{server.version} at {settings.label_studio_url}"
    public = urlsplit(settings.public_label_studio_url).hostname or ""
    if server.untested:
        raise Note(server.untested)
    if "." not in public and public != "localhost":
        raise Note(
            f"{where}, and links for people name {public!r}, which may be known to this machine "
            "alone; set LABEL_STUDIO_PUBLIC_URL to the address that people type."
        )
    return where


def token(settings: Settings, server: Server) -> str:
    """Its kind, whose it is, and until when it is valid."""
    text = settings.label_studio_api_key.get_secret_value().strip()
    expires = _expiry(text)
    if text.count(".") != 2:
        return f"legacy token of {server.email}"
    if expires is None:
        return f"personal access token of {server.email}"
    days = (expires - datetime.now(UTC)).days
    said = f"personal access token of {server.email}, valid until {expires:%Y-%m-%d}"
    if days < TOKEN_EXPIRES_SOON_DAYS:
        raise Note(
            f"{said}; make a new one at {settings.public_label_studio_url}/user/account before "
            "that, and set LABEL_STUDIO_API_KEY to it."
        )
    return said


def _expiry(text: str) -> datetime | None:
    try:
        body = text.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return None


def backend(settings: Settings) -> str:
    """It answers, and takes our password."""
    try:
        answer = get(f"{settings.backend_url}/health", timeout=5)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise BackendUnreachable(
            f"nothing answers at {settings.backend_url} ({error}); start it with `hero up`, or "
            "set HERO_PORT (and HERO_URL) to where it is."
        ) from error
    webhooks_received(settings)
    return f"answers at {settings.backend_url}"


def worker(settings: Settings) -> str:
    """One has left a sign of life in this home folder."""
    living = liveness.living(settings)
    if living:
        return f"alive on {', '.join(living)}"
    kind = BackendUnreachable if not settings.database_url else Note
    raise kind(
        f"no worker has left a sign of life in {settings.home}, so nothing is drawn or learned "
        "unless one runs elsewhere; start it with `hero up`, or `python -m backend.worker`."
    )


def webhook_address(settings: Settings) -> str:
    """It is of a kind that Label Studio takes."""
    check_backend_url(settings.backend_url)
    return f"{settings.backend_url}/webhook is one that Label Studio takes"


def projects(settings: Settings, gateway: Gateway) -> str:
    """The projects of the runs under way are there and tell this backend."""
    store = Store.open(settings)
    try:
        runs = [(r, r.project_id) for r in store.runs() if r.state in ACTIVE and r.project_id]
    finally:
        store.close()
    silent = []
    for run, project_id in runs:
        try:
            if not gateway.is_connected(project_id):
                silent.append(str(project_id))
        except ProjectGone as error:
            raise ProjectGone(
                f"the project {project_id} of run {run.id} is not in Label Studio any more; "
                f"`hero stop {run.id}`, and start a new one."
            ) from error
    if silent:
        raise Note(
            f"no webhook to {settings.backend_url} with our secret in project "
            f"{', '.join(silent)}; labels are seen by the poll (every "
            f"{settings.poll_seconds:.0f} s) until the worker registers it with the next epoch."
        )
    count = len(runs)
    return f"{count} run{'s' * (count != 1)} under way" + (", webhooks registered" * bool(count))


def connection(settings: Settings, gateway: Gateway, project_id: int) -> str:
    """Label Studio takes our webhook and our model, and sees this backend."""
    gateway.connect_backend(project_id)
    return f"Label Studio reaches {settings.backend_url} (private addresses are allowed)"


def round_trip(settings: Settings, gateway: Gateway, project_id: int) -> str:
    """A label made in Label Studio reaches this backend."""
    before = webhooks_received(settings)
    gateway.try_a_webhook(project_id)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if webhooks_received(settings) > before:
            return "a label made in Label Studio was told to the backend"
        time.sleep(0.2)
    raise BackendUnreachable(
        "a label was made in Label Studio and the backend was not told; runs go on by the poll "
        f"(every {settings.poll_seconds:.0f} s), but look whether a proxy or firewall stands "
        "between them."
    )


def webhooks_received(settings: Settings) -> float:
    """Number of webhooks that the backend has had.

    Raises:
        BackendUnreachable: it does not answer, or not to our password.
    """
    password = settings.basic_auth_pass.get_secret_value()
    try:
        answer = get(
            f"{settings.backend_url}/metrics",
            auth=(settings.basic_auth_user, password),
            timeout=5,
        )
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise BackendUnreachable(
            f"what answers at {settings.backend_url} does not take this home's password "
            f"({_short(error)}); another program or another home's backend may listen there: set "
            f"HERO_PORT to a free port, or HERO_HOME to that backend's home."
        ) from error
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "hero_requests_total" and sample.labels.get("endpoint") == "webhook"
    )


def _short(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return str(error)


def found(settings: Settings) -> tuple[Gateway, Server]:
    """Label Studio with our token.

    Raises:
        HeroServiceError: why not.
    """
    gateway = Gateway(settings)
    return gateway, gateway.ping()
