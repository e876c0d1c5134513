"""What lets a project show a run's images and tell this backend of labels."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from label_studio_sdk.core.api_error import ApiError

from backend.errors import ImageUnresolvable, SettingsInvalid
from backend.label_studio.connection import ONCE
from backend.label_studio.errors import words_of
from backend.label_studio.projects import Projects
from backend.run.labelling import Layout
from backend.run.webhook_contract import LABEL_ACTIONS, SECRET_HEADER
from backend.tasks.images import storage_folder

ML_TITLE = "HERO"


class Wiring(Projects):
    """A project's storage, webhook and ML backend."""

    def connect_images(self, project_id: int, run_id: str, layout: Layout = "image") -> None:
        """Let Label Studio see the run's images, and check that the page can take verdicts.

        Raises:
            ImageUnresolvable, LabelConfigUnusable, ProjectGone
        """
        self.check_page(project_id, layout)
        self.connect_storage(project_id, run_id)

    def connect_storage(self, project_id: int, name: str) -> None:
        """Let Label Studio see the images of a run, or of a comparison, by its name.

        Raises:
            ImageUnresolvable, ProjectGone
        """
        if self._settings.image_store != "local-files":
            return
        path = str(storage_folder(self._settings, name))
        with self._asking("read the project's storages"):
            storages = self._client.import_storage.local.list(project=project_id)
        if any(storage.path == path for storage in storages):
            return
        with self._asking("let Label Studio serve the images", project_id):
            try:
                self._client.import_storage.local.create(
                    project=project_id, path=path, use_blob_urls=True, title=ML_TITLE
                )
            except ApiError as error:
                if error.status_code != 400:
                    raise
                raise ImageUnresolvable(
                    f"Label Studio cannot show images from {path}: it says {words_of(error)!r}; "
                    "start it with LOCAL_FILES_SERVING_ENABLED=true and LOCAL_FILES_DOCUMENT_ROOT="
                    f"{self._settings.files_root}, or set HERO_IMAGE_STORE=signed-urls."
                ) from error

    def connect_backend(self, project_id: int) -> None:
        """Register this backend's webhook and model in the project, at its present address.

        Raises:
            SettingsInvalid: Label Studio takes no webhook at such an address.
            PrivateAddressRefused, BackendUnreachable, ProjectGone
        """
        self.connect_webhook(project_id)
        with self._asking("register the ML backend", project_id):
            self._ensure_ml_backend(project_id)

    def connect_webhook(self, project_id: int) -> None:
        """Register this backend's webhook alone; raises as `connect_backend`."""
        check_backend_url(self._settings.backend_url)
        with self._asking("register the webhook", project_id):
            self._ensure_webhook(project_id)

    def is_connected(self, project_id: int) -> bool:
        """Whether the project tells this backend of labels, with our secret.

        Raises:
            ProjectGone
        """
        secret = self._settings.webhook_secret.get_secret_value()
        with self._asking("look for the webhook", project_id):
            self._client.projects.get(project_id)
            webhooks = self._client.webhooks.list(project=str(project_id))
        return any(
            webhook.url == f"{self._settings.backend_url}/webhook"
            and webhook.is_active
            and (webhook.headers or {}).get(SECRET_HEADER) == secret
            for webhook in webhooks
        )

    def _ensure_webhook(self, project_id: int) -> None:
        # Label Studio adds a webhook of its own, without a secret, to every ML backend whose
        # <url>/webhook is not registered yet: ours has to stand there first.
        wanted = {
            "url": f"{self._settings.backend_url}/webhook",
            "headers": {SECRET_HEADER: self._settings.webhook_secret.get_secret_value()},
            "actions": list(LABEL_ACTIONS),
            "send_for_all_actions": False,
            "send_payload": True,
            "is_active": True,
        }
        here = False
        for webhook in self._client.webhooks.list(project=str(project_id)):
            if webhook.url == wanted["url"] and not here:
                here = True
                if any(_differs(getattr(webhook, key), value) for key, value in wanted.items()):
                    self._client.webhooks.update(webhook.id, **wanted)
            elif webhook.url == wanted["url"] or SECRET_HEADER in (webhook.headers or {}):
                self._client.webhooks.delete(webhook.id)
        if not here:
            self._client.webhooks.create(project=project_id, **wanted, request_options=ONCE)

    def _ensure_ml_backend(self, project_id: int) -> None:
        wanted = {
            "url": self._settings.backend_url,
            "title": ML_TITLE,
            "is_interactive": False,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": self._settings.basic_auth_user,
            "basic_auth_pass": self._settings.basic_auth_pass.get_secret_value(),
        }
        for backend in self._client.ml.list(project=project_id):
            if backend.title != ML_TITLE and backend.url != wanted["url"]:
                continue
            current = (backend.url, backend.basic_auth_user, str(backend.auth_method))
            if current != (wanted["url"], wanted["basic_auth_user"], "BASIC_AUTH"):
                self._client.ml.update(backend.id, project=project_id, **wanted)
            return
        self._client.ml.create(project=project_id, **wanted, request_options=ONCE)


def check_backend_url(url: str) -> None:
    """See that Label Studio takes a webhook at this address.

    Raises:
        SettingsInvalid: its host has no dot, or is an IPv6 address.
    """
    host = urlsplit(url).hostname or ""
    if ":" in host:
        raise SettingsInvalid(
            f"Cannot register the model at {url}: Label Studio looks for a name that is spelt "
            f"{f'[{host}]'!r}, and finds none; set HERO_URL to a name of this host, such as "
            "http://localhost:9090 on one machine."
        )
    if host == "localhost" or "." in host:
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise SettingsInvalid(
            f"Cannot register the webhook at {url}: Label Studio takes no host without a dot "
            f"({host!r}); set HERO_URL to an address such as http://{host or 'backend'}.local:9090 "
            "or to the backend's IP address."
        ) from None


def _differs(present: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return sorted(str(item) for item in present or []) != sorted(wanted)
    return bool(present != wanted)
