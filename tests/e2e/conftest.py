"""A real Label Studio for the end-to-end tests, one a session.

Its database is made once (half a minute of migrations) and kept in pytest's cache; every session
then starts on a copy of it, in a few seconds. HERO_TEST_LABEL_STUDIO names the folder of another
version's environment, as `make test-label-studio` makes it.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from backend.label_studio.browser_session import Member, invitation
from backend.local.label_studio_server import LocalLabelStudio
from backend.local.processes import free_port, stop
from tests.label_studio_data import kept_label_studio, program, version


@dataclass
class RunningLabelStudio:
    """`root` is its LOCAL_FILES_DOCUMENT_ROOT: images below a subfolder of it can be served."""

    url: str
    token: str
    email: str
    password: str
    root: Path
    log: Path
    _members: list[Member] = field(default_factory=list)
    _pat: str | None = None

    def login(self) -> httpx.Client:
        """The owner's browser session."""
        return self._keep(Member.log_in(self.url, self.email, self.password))

    def invite(self, email: str, password: str) -> httpx.Client:
        """The browser session of a new member (base_url set, CSRF token sent by itself)."""
        return self._keep(Member.sign_up(self.url, self.invitation(), email, password))

    def invitation(self) -> str:
        return invitation(self.url, {"Authorization": f"Token {self.token}"})

    def pat(self) -> str:
        """The owner's personal access token (Label Studio gives out one a user)."""
        if self._pat is None:
            answer = self.login().post("/api/token/")
            answer.raise_for_status()
            self._pat = answer.json()["token"]
        return self._pat

    def _keep(self, member: Member) -> httpx.Client:
        self._members.append(member)
        return member.http


@contextmanager
def running(empty: Path, home: Path, **extra_env: str) -> Iterator[RunningLabelStudio]:
    """One of a test's own, on a copy of an empty data folder, with further variables."""
    shutil.copytree(empty, home / "data")
    server = LocalLabelStudio(
        home / "data",
        files_root=home / "files",
        log=home / "label-studio.log",
        port=free_port(),
        extra_env=extra_env,
        program=program(),
    )
    members: list[Member] = []
    try:
        server.start()
        account = server.account
        yield RunningLabelStudio(
            url=account.url,
            token=account.token,
            email=account.email,
            password=account.password,
            root=home / "files",
            log=server.child.log,
            _members=members,
        )
    finally:
        for member in members:
            member.close()
        stop([server.child])


@pytest.fixture(scope="session")
def empty_label_studio(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A data folder to copy: the first start has been made and nothing has happened since."""
    assert request.config.cache is not None
    cache = request.config.cache.mkdir(f"label-studio-{version()}")
    return kept_label_studio(cache, tmp_path_factory.mktemp("first-start"))


@pytest.fixture(scope="session")
def label_studio(
    empty_label_studio: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningLabelStudio]:
    with running(empty_label_studio, tmp_path_factory.mktemp("label-studio")) as found:
        yield found
