"""The web process: Label Studio's ML-backend protocol, webhooks, signed images, run pages.

Turns requests into calls and holds no logic. Never imports torch: it must answer at once.
"""

import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Flask, Response, g, jsonify, redirect, request, send_from_directory
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing import IntegerConverter

from backend import dashboard, logs
from backend.dashboard.access import COOKIE, page_token, role_of
from backend.dashboard.attempts import SECONDS_EACH, Attempts
from backend.errors import (
    BadWebhook,
    ForeignPage,
    HeroServiceError,
    NotAuthorized,
    TooManyAttempts,
)
from backend.run.webhook_contract import SECRET_HEADER, START_TRAINING
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.tasks.images import (
    before_image_key,
    earlier_signature_fits,
    parse_path,
    signature_fits,
)
from backend.web import acts, login
from backend.web.body import MAX_BODY_BYTES, project_id, read_json
from backend.web.credentials import Door
from backend.web.metrics import Metrics
from backend.web.ml_backend import HeroModel, versions_of
from backend.web.readiness import Readiness

logger = logging.getLogger(__name__)

DOOR = "hero_door"
"""The app's `Door`, among its extensions."""
_OPEN = ("health", "ready", "image", "webhook", dashboard.ASSETS)
"""The endpoints that need no login, or look at who asks themselves."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every answer that says nothing else."""


def create_app(settings: Settings | None = None, store: Store | None = None) -> Flask:
    """The Flask app; `python -m backend.web` serves it.

    Args:
        settings: from the environment by default.
        store: opened from the settings by default.
    """
    settings = ensure_secrets(settings or Settings.load())
    logs.configure(settings.log_level)
    store = store or Store.open(settings)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.converters["int"] = _SmallInteger
    attempts = Attempts()
    door = app.extensions[DOOR] = Door(settings, attempts)
    metrics = Metrics(store)
    is_ready = Readiness(store)
    app.register_blueprint(dashboard.pages(settings, store))
    app.register_blueprint(acts.acts(settings, store))
    app.register_blueprint(login.login(settings, attempts))

    def password_fits() -> bool:
        return door.password_fits(request.headers, request.remote_addr)

    @app.before_request
    def let_in() -> None:
        g.started = time.perf_counter()
        _refuse_foreign_pages()
        if request.endpoint in _OPEN or request.blueprint == login.NAME:
            return
        if request.blueprint in (dashboard.NAME, acts.NAME):
            cookie = request.cookies.get(COOKIE)
            role = role_of(settings, cookie)
            if role is None:
                raise NotAuthorized("The run pages are for people of this run.")
            dashboard.let_in(role, page_token(settings, cookie))
            return
        if not password_fits():
            raise NotAuthorized(
                f"Refused {request.path}: the Basic auth user or password is missing or wrong; "
                "use BASIC_AUTH_USER and BASIC_AUTH_PASS of this backend."
            )

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

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

    @app.get("/ready")
    def ready() -> tuple[dict[str, str], int]:
        return ({"status": "READY"}, 200) if is_ready() else ({"status": "NO DATABASE"}, 503)

    @app.post("/setup")
    def setup() -> dict[str, str]:
        body = read_json(request)
        model = HeroModel(store, project_id(body.get("project")), _text(body, "schema"))
        return {"model_version": model.model_version}

    @app.post("/predict")
    def predict() -> dict[str, Any]:
        body = read_json(request)
        tasks = body.get("tasks")
        tasks = [tasks] if isinstance(tasks, dict) else tasks
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise BadWebhook("Cannot predict: the request has no list of tasks; send `tasks`.")
        model = HeroModel(store, project_id(body.get("project")), _text(body, "label_config"))
        params = body.get("params")
        context = params.get("context") if isinstance(params, Mapping) else None
        return {"results": model.predict(tasks, context), "model_version": model.model_version}

    @app.post("/webhook")
    def webhook() -> tuple[dict[str, Any], int]:
        by_secret = door.secret_fits(request.headers, request.remote_addr)
        by_password = password_fits()
        if not by_secret and not by_password:
            raise NotAuthorized(
                f"Refused the webhook: it has neither the right {SECRET_HEADER} header nor the "
                "Basic auth password; `hero start` and the worker register a webhook that has, "
                "delete the other one in the project's settings."
            )
        body = read_json(request)
        action = body.get("action")
        if not isinstance(action, str):
            raise BadWebhook("Cannot follow the webhook: it names no action; send `action`.")
        if action == START_TRAINING and not by_password:
            raise NotAuthorized("Refused to start training: that takes the Basic auth password.")
        answer = HeroModel(store, None).fit(action, body)
        noted = answer["status"] == "noted"
        metrics.webhooks.labels(action if noted else "other").inc()
        return answer, 201 if noted else 200

    @app.get("/versions")
    def versions() -> dict[str, list[str]]:
        # Label Studio does not say which project it asks for.
        return {"versions": [version for run in store.runs() for version in versions_of(run)]}

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics.text(), mimetype="text/plain; version=0.0.4")

    @app.get("/images/<path:path>")
    def image(path: str) -> Response:
        signature = request.args.get("signature", "")
        expires = request.args.get("expires")
        if expires is None:
            fits = earlier_signature_fits(settings, path, signature) and before_image_key(
                settings, _drawn_at(store, path)
            )
        else:
            fits = signature_fits(settings, path, expires, signature)
        if not fits:
            raise NotAuthorized(
                f"Refused the image {path}: its address is not signed, was signed with another "
                "HERO_IMAGE_KEY, or has expired; take the address from the task."
            )
        response = send_from_directory(
            settings.images_dir, path, mimetype="image/png", max_age=86400, conditional=True
        )
        response.headers["Cache-Control"] = "private, max-age=86400"
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    @app.errorhandler(HeroServiceError)
    def refused(error: HeroServiceError) -> tuple[Response, int]:
        logger.warning("%s %s: %s", request.method, request.path, error)
        answer = jsonify(error=str(error), type=type(error).__name__)
        if isinstance(error, NotAuthorized) and request.blueprint != login.NAME:
            answer.headers["WWW-Authenticate"] = 'Basic realm="HERO"'
        if isinstance(error, TooManyAttempts):
            answer.headers["Retry-After"] = f"{SECONDS_EACH:.0f}"
        return answer, error.http_status

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[Response, int]:
        return jsonify(error=error.description, type=error.name), error.code or 500

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[Response, int]:
        logger.exception("%s %s failed", request.method, request.path)
        return jsonify(error="The backend failed; its log says why.", type="InternalError"), 500

    return app


class _SmallInteger(IntegerConverter):
    """A number in a path; what no row can have is a path that is not there."""

    regex = r"[0-9]{1,9}"


def _refuse_foreign_pages() -> None:
    """Browsers say when a page of another site, or of another port of this one, sends a request."""
    foreign = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    if foreign and request.method not in ("GET", "HEAD", "OPTIONS"):
        raise ForeignPage(
            f"Refused {request.path}: a page of another site sent it; only Label Studio and the "
            "run pages may change something."
        )
    if "\0" in request.path:
        raise NotFound


def _drawn_at(store: Store, path: str) -> datetime | None:
    """When the epoch of an image was drawn; None if there is none."""
    place = parse_path(path)
    if place is None:
        return None
    run_id, number = place
    epochs = (epoch for epoch in store.epochs(run_id) if epoch.epoch == number)
    return next((epoch.generated_at for epoch in epochs), None)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
