"""Every setting of the service, from the environment and from `<HERO_HOME>/env`.

The real environment wins over the file. `hero up` writes the file (mode 600), so that commands
in another terminal find the Label Studio and the secrets it made.
"""

import os
import secrets
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.errors import SettingsInvalid
from backend.files import write_text

LABEL_STUDIO_VERSION = "1.23.2"
"""The Label Studio that this was tested with."""


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
        description="Address at which people reach the run pages, for links; HERO_URL if empty.",
    )
    basic_auth_user: str = Field(
        default="hero",
        validation_alias="BASIC_AUTH_USER",
        description="User name with which Label Studio logs in at the backend, and people at the "
        "run pages.",
    )
    basic_auth_pass: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="BASIC_AUTH_PASS",
        description="The password for that; made once if missing.",
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="HERO_WEBHOOK_SECRET",
        description="Secret that protects webhooks and signed image addresses; made once if "
        "missing.",
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
    mixed_precision: Literal["no", "bf16", "fp16"] | None = Field(
        default=None,
        validation_alias="HERO_MIXED_PRECISION",
        description="Precision that new runs draw with: no, bf16 or fp16; the preset's if empty.",
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
        return self.url or f"http://{self.host}:{self.port}"

    def page_url(self, run_id: str = "") -> str:
        """Where a browser finds the page of a run, or of all runs."""
        return f"{self.public_url or self.backend_url}/runs/{run_id}".rstrip("/")

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
        """Whether the webhook secret and the password are set."""
        return bool(self.basic_auth_pass.get_secret_value()) and bool(
            self.webhook_secret.get_secret_value()
        )


def write_env(home: Path, values: dict[str, str]) -> Path:
    """Put `values` into `<home>/env`, keeping its other lines; atomic, readable by the owner only.

    Returns:
        The file's path.
    """
    path = home / "env"
    merged = {key: value for key, value in dotenv_values(path).items() if value is not None}
    merged.update(values)
    lines = (f"{key}='{_quoted(value)}'\n" for key, value in merged.items())
    write_text(path, "".join(lines), private=True)
    return path


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def ensure_secrets(settings: Settings) -> Settings:
    """The settings with a password and a webhook secret; made and kept in `<home>/env` if new."""
    if settings.has_secrets:
        return settings
    made = {}
    if not settings.basic_auth_pass.get_secret_value():
        made["BASIC_AUTH_PASS"] = secrets.token_urlsafe(24)
    if not settings.webhook_secret.get_secret_value():
        made["HERO_WEBHOOK_SECRET"] = secrets.token_urlsafe(24)
    write_env(settings.home, made)
    fields = {"BASIC_AUTH_PASS": "basic_auth_pass", "HERO_WEBHOOK_SECRET": "webhook_secret"}
    return settings.model_copy(
        update={fields[name]: SecretStr(value) for name, value in made.items()}
    )
