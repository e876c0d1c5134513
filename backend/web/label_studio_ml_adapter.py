"""HERO under label-studio-ml's own server, where that package is installed.

`docs/label-studio-ml.md` says how to install and to serve it. The package has one Flask app a
process, so there can be one HERO a process, too.
"""

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, jsonify, request
from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase
from werkzeug.datastructures import Authorization

from backend import logs
from backend.dashboard.attempts import Attempts
from backend.errors import HeroServiceError, NotAuthorized
from backend.run.webhook_contract import START_TRAINING
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.web.body import MAX_BODY_BYTES, project_id, read_json
from backend.web.credentials import Door
from backend.web.ml_backend import HeroModel


class HeroMLBackend(LabelStudioMLBase):
    """`HeroModel` as a subclass of label-studio-ml's base class, which makes one a request."""

    store: Store
    """The one of all requests; `create_app` sets it."""

    def setup(self) -> None:
        """Find the project's model, and tell the base class its version."""
        self._model = HeroModel(self.store, project_id(self.project_id), self.label_config or "")
        self.set("model_version", self._model.model_version)

    def predict(
        self,
        tasks: list[dict[str, Any]] | dict[str, Any],
        context: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """See `HeroModel.predict`; a single task may stand without its list."""
        listed = [tasks] if isinstance(tasks, dict) else tasks
        return self._model.predict(listed, context, **kwargs)

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """See `HeroModel.fit`."""
        return self._model.fit(event, data, **kwargs)


def create_app(settings: Settings | None = None, store: Store | None = None) -> Flask:
    """label-studio-ml's Flask app, with HERO as its model; made once a process.

    It takes the password of this backend, and the secret of its webhooks as our own server does.

    Args:
        settings: from the environment by default.
        store: opened from the settings by default.
    """
    settings = ensure_secrets(settings or Settings.load())
    logs.configure(settings.log_level)
    HeroMLBackend.store = store or Store.open(settings)
    user, password = settings.basic_auth_user, settings.basic_auth_pass.get_secret_value()
    app: Flask = init_app(HeroMLBackend, basic_auth_user=user, basic_auth_pass=password)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    door = Door(settings, Attempts())

    def let_in() -> None:
        by_password = door.password_fits(request.headers, request.remote_addr)
        by_secret = request.path == "/webhook" and door.secret_fits(
            request.headers, request.remote_addr
        )
        if request.method == "POST" and (by_password or by_secret):
            request.get_data()  # kept for the package, which reads it again
            starts = read_json(request).get("action") == START_TRAINING
            if starts and not by_password:
                raise NotAuthorized("Refused to start training: that takes the password.")
        if by_secret:  # the package knows the password alone
            shown = Authorization("basic", {"username": user, "password": password})
            request.environ["HTTP_AUTHORIZATION"] = shown.to_header()

    def refused(error: HeroServiceError) -> tuple[Response, int]:
        answer = jsonify(error=str(error), type=type(error).__name__)
        return answer, error.http_status

    # Before the package's own look at the password.
    app.before_request_funcs.setdefault(None, []).insert(0, let_in)
    app.register_error_handler(HeroServiceError, refused)
    return app
