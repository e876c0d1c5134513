"""HERO under label-studio-ml's own server, where that package is installed.

Its version 2 comes from its repository and asks for the newest commit of Label Studio's SDK, which
would replace the release that HERO uses. So install it without what it asks for:

pip install --no-deps git+https://github.com/HumanSignal/label-studio-ml-backend@d02cedf
pip install semver colorama

and serve this:

from label_studio_ml.api import init_app
from backend.web.label_studio_ml_adapter import HeroMLBackend

app = init_app(model_class=HeroMLBackend)
"""

from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from backend.settings import Settings
from backend.store import Store
from backend.web.body import project_id
from backend.web.ml_backend import HeroModel


class HeroMLBackend(LabelStudioMLBase):
    """`HeroModel` as a subclass of label-studio-ml's base class."""

    def setup(self) -> None:
        """Open the store, and tell the base class the model's version."""
        self._model = HeroModel(
            Store.open(Settings.load()), project_id(self.project_id), self.label_config or ""
        )
        self.set("model_version", self._model.model_version)

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """See `HeroModel.predict`."""
        return self._model.predict(tasks, context, **kwargs)

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """See `HeroModel.fit`."""
        return self._model.fit(event, data, **kwargs)
