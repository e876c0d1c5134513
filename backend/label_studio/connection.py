"""The connection to one Label Studio, with one user's token."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from label_studio_sdk import LabelStudio
from label_studio_sdk.core.request_options import RequestOptions

from backend import addresses
from backend.errors import ProjectGone, SettingsInvalid, TokenRefused
from backend.label_studio.errors import Errors, refuse_null
from backend.settings import LABEL_STUDIO_VERSION, TESTED_LABEL_STUDIOS, Settings

ONCE: RequestOptions = {"max_retries": 0}
"""Requests that must not be repeated blindly: the SDK would retry after a timeout."""
SECOND_LOOK_SECONDS = 1.0
"""Between two looks at a project that seems to be gone."""


@dataclass(frozen=True)
class Server:
    """The Label Studio that answered, and whom the token belongs to."""

    version: str
    email: str

    @property
    def untested(self) -> str | None:
        """What to do if its version is none of those that this was tested with."""
        if self.version in TESTED_LABEL_STUDIOS:
            return None
        return (
            f"Label Studio {self.version} answers, not the {LABEL_STUDIO_VERSION} that this was "
            "tested with; if the labelling page or the import of tasks misbehaves, use "
            f"{LABEL_STUDIO_VERSION}."
        )


class Connection:
    """What every part of the gateway asks through."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings; nothing is sent yet.

        Raises:
            SettingsInvalid: no address of Label Studio is set.
            TokenRefused: the token is missing or cannot be one.
        """
        self._settings = settings
        self.url = settings.label_studio_url
        token = settings.label_studio_api_key.get_secret_value().strip()
        if not self.url:
            raise SettingsInvalid(
                "Cannot reach Label Studio: LABEL_STUDIO_URL is not set; set it, or let `hero up` "
                "start one."
            )
        if not token:
            raise TokenRefused(
                "Cannot log in to Label Studio: LABEL_STUDIO_API_KEY is not set; copy a token from "
                f"Account & Settings at {self.url}/user/account."
            )
        if not (token.isascii() and token.isprintable()):
            raise TokenRefused(
                "Cannot log in to Label Studio: LABEL_STUDIO_API_KEY holds characters that no "
                "token has; copy it again."
            )
        self._errors = Errors(self.url, settings.backend_url, personal=token.count(".") == 2)
        with self._asking("log in"):
            hooks = {"response": [refuse_null]}
            http = addresses.client(self.url, timeout=60, follow_redirects=True, event_hooks=hooks)
            self._client = LabelStudio(base_url=self.url, api_key=token, httpx_client=http)
            # Of an address below a path, the SDK's own joining drops the path.
            self._client._client_wrapper._tokens_client._base_url = f"{self.url}/"

    def ping(self) -> Server:
        """See that Label Studio answers and takes the token.

        Raises:
            LabelStudioUnreachable, NotLabelStudio, TokenRefused
        """
        not_there = self._errors.not_label_studio()
        with self._errors.translated("look for Label Studio", not_there):
            version = self._client.versions.get().release
        if not version:
            raise not_there
        with self._asking("log in"):
            return Server(version, self._client.users.whoami().email or "")

    def project_url(self, project_id: int) -> str:
        """Where people label."""
        return f"{self._settings.public_label_studio_url}/projects/{project_id}"

    def _label_config(self, project_id: int) -> str:
        with self._asking("read the project", project_id):
            return self._client.projects.get(project_id).label_config or ""

    @contextmanager
    def _asking(self, what: str, project_id: int | None = None) -> Iterator[None]:
        """Errors of the block become ours; 404 means that the project is gone, if one is given and
        is not there a moment later either."""
        gone = None if project_id is None else self._errors.gone(project_id)
        try:
            with self._errors.translated(what, gone):
                yield
        except ProjectGone as error:
            if project_id is None or not self._is_gone(project_id):
                raise self._errors.unreachable(error) from error
            raise

    def _is_gone(self, project_id: int) -> bool:
        """Whether Label Studio says, asked once more, that there is no such project."""
        time.sleep(SECOND_LOOK_SECONDS)
        try:
            with self._errors.translated("look for the project", self._errors.gone(project_id)):
                self._client.projects.get(project_id)
        except ProjectGone:
            return True
        return False
