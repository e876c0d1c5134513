"""The web process: Label Studio's ML-backend protocol, webhooks, signed images, run pages.

Turns requests into calls and holds no logic. Never imports torch: it must answer at once.
"""

import hmac
import logging
import time
from typing import Any

from flask import Flask, Response, g, jsonify, redirect, request, send_from_directory
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from werkzeug.exceptions import HTTPException

from backend import dashboard, logs
from backend.dashboard.access import FORWARDED, needs_no_login
from backend.errors import BadWebhook, HeroServiceError, NotAuthorized
from backend.label_studio.webhook_contract import SECRET_HEADER, START_TRAINING
from backend.run.states import State
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.tasks.images import signature_fits
from backend.web.ml_backend import HeroModel, versions_of

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 2**20
"""Label Studio asks for predictions on a whole page of tasks at once."""


def create_app(settings: Settings | None = None, store: Store | None = None) -> Flask:
    """The Flask app: `gunicorn "backend.web.app:create_app()"`.

    Args:
        settings: from the environment by default.
        store: opened from the settings by default.
    """
    settings = ensure_secrets(settings or Settings.load())
    logs.configure(settings.log_level)
    store = store or Store.open(settings)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    metrics = _Metrics(store)
    app.register_blueprint(dashboard.pages(settings, store))

    @app.before_request
    def check_password() -> None:
        g.started = time.perf_counter()
        if request.endpoint in ("health", "image", "webhook"):
            return
        forwarded = any(name in request.headers for name in FORWARDED)
        anybody = needs_no_login(settings, request.remote_addr, request.host, forwarded=forwarded)
        if request.blueprint == dashboard.NAME and anybody:
            return
        if not _password_fits(settings):
            raise NotAuthorized(
                f"Refused {request.path}: the Basic auth user or password is missing or wrong; "
                "use BASIC_AUTH_USER and BASIC_AUTH_PASS of this backend."
            )

    @app.after_request
    def measure(response: Response) -> Response:
        endpoint = request.endpoint or "unknown"
        elapsed = time.perf_counter() - g.get("started", time.perf_counter())
        metrics.seconds.labels(endpoint).observe(elapsed)
        metrics.requests.labels(endpoint, response.status_code).inc()
        return response

    @app.get("/health")
    @app.get("/")
    def health() -> Any:
        wanted = request.accept_mimetypes.best_match(["application/json", "text/html"])
        if request.path == "/" and wanted == "text/html":
            return redirect("/runs")
        return {"status": "UP", "model_class": HeroModel.__name__}

    @app.post("/setup")
    def setup() -> dict[str, str]:
        body = _json()
        model = HeroModel(store, _project_id(body), body.get("schema") or "")
        return {"model_version": model.model_version}

    @app.post("/predict")
    def predict() -> dict[str, Any]:
        body = _json()
        tasks = body.get("tasks")
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise BadWebhook("Cannot predict: the request has no list of tasks; send `tasks`.")
        model = HeroModel(store, _project_id(body), body.get("label_config") or "")
        context = (body.get("params") or {}).get("context")
        return {"results": model.predict(tasks, context), "model_version": model.model_version}

    @app.post("/webhook")
    def webhook() -> dict[str, Any]:
        secret_fits = _secret_fits(settings)
        if not secret_fits and not _password_fits(settings):
            raise NotAuthorized(
                f"Refused the webhook: it has neither the right {SECRET_HEADER} header nor the "
                "Basic auth password; `hero start` and the worker register a webhook that has, "
                "delete the other one in the project's settings."
            )
        body = _json()
        action = body.get("action")
        if not isinstance(action, str):
            raise BadWebhook("Cannot follow the webhook: it names no action; send `action`.")
        if action == START_TRAINING and not _password_fits(settings):
            raise NotAuthorized("Refused to start training: that takes the Basic auth password.")
        answer = HeroModel(store, None).fit(action, body)
        metrics.webhooks.labels(action if answer["status"] == "noted" else "other").inc()
        return answer

    @app.get("/versions")
    def versions() -> dict[str, list[str]]:
        # Label Studio does not say which project it asks for.
        return {"versions": [version for run in store.runs() for version in versions_of(run)]}

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics.text(), mimetype="text/plain; version=0.0.4")

    @app.get("/images/<path:path>")
    def image(path: str) -> Response:
        if not signature_fits(settings, path, request.args.get("signature", "")):
            raise NotAuthorized(
                f"Refused the image {path}: its signature is missing or was made with another "
                "HERO_WEBHOOK_SECRET; take the address from the task."
            )
        response = send_from_directory(
            settings.images_dir, path, mimetype="image/png", max_age=86400, conditional=True
        )
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    @app.errorhandler(HeroServiceError)
    def refused(error: HeroServiceError) -> tuple[Response, int]:
        logger.warning("%s %s: %s", request.method, request.path, error)
        answer = jsonify(error=str(error), type=type(error).__name__)
        if isinstance(error, NotAuthorized):
            answer.headers["WWW-Authenticate"] = 'Basic realm="HERO"'
        return answer, error.http_status

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error=error.description, type=error.name), error.code or 500

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[Response, int]:
        logger.exception("%s %s failed", request.method, request.path)
        return jsonify(error="The backend failed; its log says why.", type="InternalError"), 500

    return app


class _Metrics:
    """What /metrics shows; the runs are counted when it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "hero_requests", "Requests", ["endpoint", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "hero_request_seconds",
            "Seconds a request",
            ["endpoint"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
            registry=self._registry,
        )
        self.webhooks = Counter(
            "hero_webhooks", "Webhooks of Label Studio", ["action"], registry=self._registry
        )
        self._runs = Gauge("hero_runs", "Runs by state", ["state"], registry=self._registry)

    def text(self) -> bytes:
        """Prometheus' text format."""
        states = [run.state for run in self._store.runs()]
        for state in State:
            self._runs.labels(state.value).set(states.count(state))
        return generate_latest(self._registry)


def _password_fits(settings: Settings) -> bool:
    given = request.authorization
    if given is None or given.type != "basic":
        return False
    user = _equal(given.username, settings.basic_auth_user)
    return _equal(given.password, settings.basic_auth_pass.get_secret_value()) and user


def _secret_fits(settings: Settings) -> bool:
    return _equal(request.headers.get(SECRET_HEADER), settings.webhook_secret.get_secret_value())


def _equal(given: str | None, wanted: str) -> bool:
    return hmac.compare_digest((given or "").encode(), wanted.encode()) and bool(wanted)


def _json() -> dict[str, Any]:
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise BadWebhook(f"Cannot read the request to {request.path}: its body is no JSON object.")
    return body


def _project_id(body: dict[str, Any]) -> int | None:
    """Label Studio sends `<project id>.<time of its making>`."""
    project = str(body.get("project") or "").split(".")[0]
    return int(project) if project.isdigit() else None
