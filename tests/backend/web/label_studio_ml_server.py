"""A stand-in for label-studio-ml 2.x's server, where that package is not installed: its routes, its
statuses and what it does with a model, as a client sees them."""

from types import ModuleType
from typing import Any, ClassVar

from flask import Flask, Response, jsonify, request

EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")


class Base:
    """What a model is made of: one a request, with a cache by project."""

    cache: ClassVar[dict[tuple[str, str], str]] = {}

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        self.setup()

    def setup(self) -> None:
        return

    @property
    def label_config(self) -> str | None:
        return self.get("label_config")

    def get(self, key: str) -> str | None:
        return self.cache.get((self.project_id, key))

    def set(self, key: str, value: str) -> None:
        if not isinstance(value, str):
            raise ValueError("a cache holds texts")
        self.cache[self.project_id, key] = value

    def set_extra_params(self, value: str) -> None:
        self.set("extra_params", value)


def modules() -> dict[str, ModuleType]:
    """`label_studio_ml` and the modules of it that the adapter imports."""
    server, kind, login = Flask("label_studio_ml.api"), Base, ("", "")

    def init_app(model_class: type, basic_auth_user: str = "", basic_auth_pass: str = "") -> Flask:
        nonlocal kind, login
        kind, login = model_class, (basic_auth_user, basic_auth_pass)
        return server

    def model_of(project: str, label_config: str | None) -> Base:
        return kind(project_id=project.split(".", 1)[0], label_config=label_config)

    @server.before_request
    def check() -> Response | None:
        shown = request.authorization
        if login[0] and (shown is None or (shown.username, shown.password) != login):
            return Response("Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="Login"'})
        return None

    @server.get("/")
    @server.get("/health")
    def health() -> Any:
        return {"status": "UP", "model_class": kind.__name__}

    @server.get("/metrics")
    def metrics() -> Any:
        return {}

    @server.post("/setup")
    def setup() -> Any:
        body: dict[str, Any] = request.json
        model = model_of(body["project"], body.get("schema"))
        if extra := body.get("extra_params"):
            model.set_extra_params(extra)
        return {"model_version": model.get("model_version")}

    @server.post("/predict")
    def predict() -> Any:
        body: dict[str, Any] = request.json
        model: Any = model_of(str(body.get("project")), body.get("label_config"))
        params = body.get("params", {})
        context = params.pop("context", {})
        return {"results": model.predict(body.get("tasks"), context=context, **params) or []}

    @server.post("/webhook")
    def webhook() -> Any:
        body: dict[str, Any] = request.json
        event = body.pop("action")
        if event not in EVENTS:
            return jsonify(status="Unknown event"), 200
        project = body["project"]
        model: Any = kind(str(project["id"]), label_config=project["label_config"])
        return jsonify(result=model.fit(event, body), status="ok"), 201

    package, api, base = map(
        ModuleType, ("label_studio_ml", "label_studio_ml.api", "label_studio_ml.model")
    )
    vars(api)["init_app"], vars(base)["LabelStudioMLBase"] = init_app, Base
    return {module.__name__: module for module in (package, api, base)}
