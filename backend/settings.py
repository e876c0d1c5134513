"""Every setting of the service, from the environment and from `<HERO_HOME>/env`.

The real environment wins over the file. `hero up` writes the file (mode 600), so that commands
in another terminal find the Label Studio and the secrets it made.
"""

import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from filelock import FileLock
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.addresses import at
from backend.errors import SettingsInvalid
from backend.files import write_text

LABEL_STUDIO_VERSION = "1.23.2"
"""The Label Studio that `hero up` starts, and that all tests run with."""
TESTED_LABEL_STUDIOS = ("1.21.0", "1.22.0", LABEL_STUDIO_VERSION)
"""Those with which `make test-label-studio` went well."""


class Settings(BaseSettings):
    """One field a setting; the environment variable is the field's alias."""

    model_config = SettingsConfigDict(
        extra="ignore", populate_by_name=True, frozen=True, env_ignore_empty=True
    )

    home: Path = Field(
        default=Path(".hero"),
        validation_alias="HERO_HOME",
        description="Folder that holds the database, the images and the runs.",
    )
    database_url: str = Field(
        default="",
        validation_alias="HERO_DATABASE_URL",
        description="SQLAlchemy URL of the database; SQLite in the home folder if empty. "
        "PostgreSQL: postgresql+psycopg://...",
    )
    label_studio_url: str = Field(
        default="",
        validation_alias=AliasChoices("LABEL_STUDIO_URL", "LABEL_STUDIO_HOST"),
        description="Address at which this backend reaches Label Studio.",
    )
    label_studio_public_url: str = Field(
        default="",
        validation_alias="LABEL_STUDIO_PUBLIC_URL",
        description="Address at which people reach Label Studio, for links; LABEL_STUDIO_URL if "
        "empty.",
    )
    label_studio_api_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="LABEL_STUDIO_API_KEY",
        description="A legacy token or a personal access token of a Label Studio user.",
    )
    host: str = Field(
        default="127.0.0.1",
        validation_alias="HERO_HOST",
        description="Address the backend listens on.",
    )
    port: int = Field(
        default=9090,
        ge=1,
        le=65535,
        validation_alias="HERO_PORT",
        description="Port the backend listens on.",
    )
    url: str = Field(
        default="",
        validation_alias="HERO_URL",
        description="Address at which Label Studio reaches the backend; http://HOST:PORT if empty. "
        "Its host needs a dot, such as 127.0.0.1 (Label Studio refuses other webhook addresses).",
    )
    public_url: str = Field(
        default="",
        validation_alias="HERO_PUBLIC_URL",
        description="Address at which people reach the run pages and signed images; HERO_URL if "
        "empty.",
    )
    basic_auth_user: str = Field(
        default="hero",
        validation_alias="BASIC_AUTH_USER",
        description="User name with which Label Studio logs in at the backend.",
    )
    basic_auth_pass: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="BASIC_AUTH_PASS",
        description="The password for that; made once if missing.",
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="HERO_WEBHOOK_SECRET",
        description="Secret that protects webhooks; made once if missing. Every annotator can read "
        "it in Label Studio.",
    )
    image_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="HERO_IMAGE_KEY",
        description="Key that signs image addresses; made once if missing. Another key ends all "
        "addresses.",
    )
    image_days: int = Field(
        default=365,
        ge=1,
        le=36_500,
        validation_alias="HERO_IMAGE_DAYS",
        description="Days for which a signed image address works, from the publishing of its epoch "
        "on.",
    )
    cookie_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="HERO_COOKIE_KEY",
        description="Key that signs the links and cookies of the run pages; made once if missing. "
        "Another key ends all sessions.",
    )
    pages_password: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="HERO_PAGES_PASSWORD",
        description="Password for the run pages, for a team. Without one, only the links that "
        "`hero link` prints lead in.",
    )
    image_store: Literal["local-files", "signed-urls"] = Field(
        default="local-files",
        validation_alias="HERO_IMAGE_STORE",
        description="How Label Studio gets the images: local-files (from the same disk) or "
        "signed-urls (from this backend).",
    )
    local_files_root: Path | None = Field(
        default=None,
        validation_alias="HERO_LOCAL_FILES_ROOT",
        description="Label Studio's LOCAL_FILES_DOCUMENT_ROOT; the folder images in the home "
        "folder if empty.",
    )
    poll_seconds: float = Field(
        default=30.0,
        gt=0,
        validation_alias="HERO_POLL_SECONDS",
        description="Seconds between two looks at Label Studio, in case a webhook was lost.",
    )
    lease_seconds: float = Field(
        default=120.0,
        gt=0,
        validation_alias="HERO_LEASE_SECONDS",
        description="Seconds after which another worker takes over a run whose worker has died.",
    )
    processes: int = Field(
        default=1,
        ge=1,
        validation_alias="HERO_PROCESSES",
        description="Processes that draw and learn one step together, each with a GPU of this "
        "machine; 1 for the worker's own.",
    )
    idle_seconds: float = Field(
        default=900.0,
        gt=0,
        validation_alias="HERO_IDLE_SECONDS",
        description="Seconds without work after which a worker frees the model's memory.",
    )
    sample_row: int = Field(
        default=6,
        ge=0,
        le=64,
        validation_alias="HERO_SAMPLE_ROW",
        description="Images drawn from the same noises after each epoch, while people label, to "
        "show how the model changes; 0 for none.",
    )
    model: str | None = Field(
        default=None,
        validation_alias="HERO_MODEL",
        description="Model of new runs that name none: the folder or hub id of a diffusers "
        "pipeline; the bundled tiny model if empty.",
    )
    mixed_precision: Literal["no", "auto", "bf16", "fp16"] | None = Field(
        default=None,
        validation_alias="HERO_MIXED_PRECISION",
        description="Precision that new runs draw with: no, auto, bf16 or fp16; the preset's if "
        "empty.",
    )
    log_level: str = Field(
        default="INFO",
        validation_alias="LOG_LEVEL",
        description="DEBUG, INFO, WARNING or ERROR.",
    )

    @field_validator("home", "local_files_root")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path.expanduser().absolute() if path else None

    @field_validator("label_studio_url", "label_studio_public_url", "url", "public_url")
    @classmethod
    def _http(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(f"{url!r} is not an address such as http://127.0.0.1:8080")
        return url.rstrip("/")

    @classmethod
    def load(cls, home: Path | str | None = None) -> "Settings":
        """Settings of one home folder: its `env` file, then the environment.

        Raises:
            SettingsInvalid: a value is not what its setting takes.
        """
        home = Path(home or os.environ.get("HERO_HOME") or ".hero")
        try:
            return cls(_env_file=home / "env", home=home)
        except ValidationError as error:
            first = error.errors()[0]
            raise SettingsInvalid(
                f"The setting {first['loc'][0]} cannot be used: {first['msg']}; correct it in "
                f"the environment or in {home / 'env'}."
            ) from error

    @property
    def public_label_studio_url(self) -> str:
        """Address at which people reach Label Studio."""
        return self.label_studio_public_url or self.label_studio_url

    @property
    def images_dir(self) -> Path:
        """Folder of the images that Label Studio shows: `<run>/<epoch>/<index>.png`."""
        return self.home / "images"

    @property
    def files_root(self) -> Path:
        """Label Studio's LOCAL_FILES_DOCUMENT_ROOT."""
        return self.local_files_root or self.images_dir

    @property
    def backend_url(self) -> str:
        """Address at which Label Studio reaches the backend."""
        return self.url or at(self.host, self.port)

    @property
    def pages_base_url(self) -> str:
        """Address at which people reach the run pages, without a path."""
        return self.public_url or self.backend_url

    def page_url(self, run_id: str = "") -> str:
        """Where a browser finds the page of a run, or of all runs."""
        return f"{self.pages_base_url}/runs/{run_id}".rstrip("/")

    def label_url(self, run_id: str) -> str:
        """Where a browser finds the page to label a run on."""
        return f"{self.page_url(run_id)}/label"

    @property
    def sqlalchemy_url(self) -> str:
        """The database's URL, with the driver that is installed."""
        if not self.database_url:
            return f"sqlite:///{self.home / 'hero.db'}"
        scheme, separator, rest = self.database_url.partition("://")
        if scheme in ("postgres", "postgresql"):
            return f"postgresql+psycopg{separator}{rest}"
        return self.database_url

    def run_dir(self, run_id: str) -> Path:
        """Folder of a run's engine state: checkpoints, batches, exports, grids."""
        return self.home / "runs" / run_id

    @property
    def has_secrets(self) -> bool:
        """Whether every secret that is made once is set."""
        return not self.missing_secrets

    @property
    def missing_secrets(self) -> list[str]:
        """The variables of the secrets that are not set."""
        return [
            variable
            for variable, name in _MADE_ONCE.items()
            if not getattr(self, name).get_secret_value()
        ]


_MADE_ONCE = {
    "BASIC_AUTH_PASS": "basic_auth_pass",
    "HERO_WEBHOOK_SECRET": "webhook_secret",
    "HERO_IMAGE_KEY": "image_key",
    "HERO_COOKIE_KEY": "cookie_key",
}


def write_env(home: Path, values: dict[str, str]) -> Path:
    """Put `values` into `<home>/env`, keeping its other lines; atomic, readable by the owner only.

    Returns:
        The file's path.
    """
    with _env_locked(home):
        return _merge_env(home, values)


def ensure_secrets(settings: Settings) -> Settings:
    """The settings with every secret; made and kept in `<home>/env` if new.

    Several processes may begin at once: all have the same secrets then.
    """
    protect(settings.home)
    missing = settings.missing_secrets
    if not missing:
        return settings
    with _env_locked(settings.home):
        written = dotenv_values(settings.home / "env")
        values = {name: written.get(name) or _new_secret(name) for name in missing}
        if any(written.get(name) != value for name, value in values.items()):
            _merge_env(settings.home, values)
    return settings.model_copy(
        update={_MADE_ONCE[name]: SecretStr(value) for name, value in values.items()}
    )


def protect(home: Path) -> None:
    """Make the home folder, or close it: its files are their owner's.

    Only `images` is left as it is, since Label Studio may run as another user: where a person lets
    others enter the home folder (`chmod o+x`), they reach that and nothing else.
    """
    if not home.exists():
        home.mkdir(mode=0o700, parents=True)
        return
    _take_away(home, 0o066)
    for path in home.iterdir():
        if path.name != "images":
            _take_away(path, 0o077)


def _take_away(path: Path, mode: int) -> None:
    try:
        found = path.lstat()
        if found.st_mode & mode and not stat.S_ISLNK(found.st_mode):
            path.chmod(stat.S_IMODE(found.st_mode) & ~mode)
    except OSError:  # gone meanwhile, or not ours to change
        return


@contextmanager
def _env_locked(home: Path) -> Iterator[None]:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(home / "env.lock", mode=0o600):
        yield


def _merge_env(home: Path, values: dict[str, str]) -> Path:
    path = home / "env"
    merged = {key: value for key, value in dotenv_values(path).items() if value is not None}
    merged.update(values)
    lines = (f"{key}='{_quoted(value)}'\n" for key, value in merged.items())
    write_text(path, "".join(lines), private=True)
    return path


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _new_secret(variable: str) -> str:
    made = secrets.token_urlsafe(24)
    # Images that were published before there was this key were signed with another one.
    return f"{int(time.time())}.{made}" if variable == "HERO_IMAGE_KEY" else made
