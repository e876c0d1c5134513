"""A Label Studio of our own: started, verified to be ours, and described for whoever needs it."""

import json
import os
import secrets
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import httpx

from backend import addresses
from backend.errors import LabelStudioDidNotStart, LabelStudioRefused
from backend.files import write_text
from backend.label_studio.browser_session import Member
from backend.local.processes import Child, free_port, wait_until

LOCK_SECONDS = 300
"""After so long a task that somebody left open is free again."""
OWNER = "owner@example.com"
IN_LABEL_STUDIO = Path(__file__).parent / "in_label_studio"
"""Settings of Label Studio with what we add; it runs them, not we."""
_SPACE_SUBMITS = {"annotation:submit": {"key": "space", "description": "Submit"}}


@dataclass(frozen=True)
class Account:
    """Where and as whom to log in. Label Studio takes e-mail, password and token into account only
    when it creates its first user, so they are made once and kept in `account.json`."""

    email: str
    password: str
    token: str
    port: int

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def load(cls, folder: Path) -> "Account | None":
        """The account of that data folder, None before its first start."""
        try:
            return cls(**json.loads((folder / "account.json").read_text()))
        except FileNotFoundError:
            return None

    def save(self, folder: Path) -> None:
        """Keeps the account beside the data it opens."""
        write_text(folder / "account.json", json.dumps(asdict(self), indent=1), private=True)


def environment(
    account: Account, *, data: Path, files_root: Path, extra: dict[str, str] | None = None
) -> dict[str, str]:
    """The server's environment: no calls home, our backend on this machine allowed, images served
    from `files_root`, a task that somebody left open free again after five minutes, and what we add
    to it."""
    foreign = ("LABEL_STUDIO_", "HEARTEX_", "POSTGRE_", "DJANGO_", "MYSQL_")
    inherited = {name: v for name, v in os.environ.items() if not name.startswith(foreign)}
    wanted = {
        **inherited,
        **no_proxy_for_loopback(),
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_HOST": "",
        "LABEL_STUDIO_USERNAME": account.email,
        "LABEL_STUDIO_PASSWORD": account.password,
        "LABEL_STUDIO_USER_TOKEN": account.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "DJANGO_DB": "sqlite",
        "DEBUG": "false",
        "LOG_LEVEL": "WARNING",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "SSRF_PROTECTION_ENABLED": "false",
        "ML_BLOCK_LOCAL_IP": "false",
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(files_root),
        "TASK_LOCK_TTL": str(LOCK_SECONDS),
        "EDITOR_KEYMAP": json.dumps(_SPACE_SUBMITS),
        "DJANGO_SETTINGS_MODULE": "hero_settings",
        "PYTHONUNBUFFERED": "1",
        **(extra or {}),
    }
    paths = [str(IN_LABEL_STUDIO), *filter(None, [wanted.get("PYTHONPATH")])]
    return {**wanted, "PYTHONPATH": os.pathsep.join(paths)}


def no_proxy_for_loopback() -> dict[str, str]:
    """Label Studio and the backend call each other on this machine, whatever proxy is set."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = ",".join(filter(None, [named, "127.0.0.1", "localhost"]))
    return {"no_proxy": hosts, "NO_PROXY": hosts}


class LocalLabelStudio:
    """Label Studio on SQLite with its own data folder, listening on this machine only.

    `port` None means: the port of last time, else 8080, else a free one. `program` None means: the
    one that is installed beside this Python.
    """

    def __init__(
        self,
        data: Path,
        *,
        files_root: Path,
        log: Path,
        port: int | None = None,
        extra_env: dict[str, str] | None = None,
        program: Path | None = None,
    ) -> None:
        self._data = data
        known = Account.load(data)
        self.first_start = not (data / "label_studio.sqlite3").exists()
        chosen = port or free_port(known.port if known else None, 8080)
        self.account = Account(
            email=known.email if known else OWNER,
            password=known.password if known else secrets.token_urlsafe(9),
            token=known.token if known else secrets.token_hex(20),
            port=chosen,
        )
        self.account.save(data)
        files_root.mkdir(parents=True, exist_ok=True)
        program = program or Path(sys.executable).with_name(
            "label-studio.exe" if os.name == "nt" else "label-studio"
        )
        self.child = Child(
            "Label Studio",
            [
                str(program),
                *f"start --no-browser --port {chosen} --internal-host 127.0.0.1".split(),
            ],
            environment(self.account, data=data, files_root=files_root, extra=extra_env),
            log,
            data,
        )

    def healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return addresses.get(f"{self.account.url}/health", timeout=3).is_success
        except httpx.HTTPError:
            return False

    def start(self, seconds: float = 600) -> None:
        """Starts the server and waits until it answers and knows our token.

        Raises:
            LabelStudioDidNotStart: with the last lines of its log.
        """
        self.child.start()
        if not wait_until(self._ready, seconds=seconds, alive=lambda: self.child.alive):
            ended = self.child.exit_status
            why = f"it took over {seconds:.0f} s" if ended is None else f"exit status {ended}"
            raise LabelStudioDidNotStart(
                f"Label Studio did not start ({why}); its last words in {self.child.log} were:\n"
                f"{self.child.last_words()}"
            )
        self._verify()

    def _ready(self) -> bool:
        """Listening, and healthy there. Where somebody was quicker to take the port, Label Studio
        has taken the next one without a word: then that is its port."""
        ports = self.child.listening_ports()
        if not ports:
            return False
        if self.account.port not in ports:
            self.account = replace(self.account, port=min(ports))
            self.account.save(self._data)
        return self.healthy()

    def _verify(self) -> None:
        """See that it is ours and takes our token; where it takes no legacy tokens any more, have
        it make a personal one."""
        email = self._whose(self.account.token)
        if email is None:
            self.account = replace(self.account, token=self._personal_token())
            self.account.save(self._data)
            email = self._whose(self.account.token)
        if email != self.account.email:
            raise LabelStudioDidNotStart(
                f"The Label Studio at {self.account.url} takes our token for {email or 'nobody'} "
                f"and not for {self.account.email}, as {self._account_file} says; correct that "
                "file."
            )

    def _whose(self, token: str) -> str | None:
        """The e-mail of whom a token is of, either kind; None if it is refused."""
        url, authorization = self.account.url, f"Token {token}"
        with addresses.client(url, base_url=url, timeout=30) as asking:
            if token.count(".") == 2:
                answer = asking.post("/api/token/refresh/", json={"refresh": token})
                if not answer.is_success:
                    return None
                authorization = f"Bearer {answer.json()['access']}"
            told = {"Authorization": authorization}
            answer = asking.get("/api/current-user/whoami", headers=told)
            return str(answer.json().get("email")) if answer.is_success else None

    def _personal_token(self) -> str:
        """A personal access token, made in the owner's name.

        Raises:
            LabelStudioDidNotStart: says what to write into `account.json`; no data is in danger.
        """
        account = self.account
        try:
            owner = Member.log_in(account.url, account.email, account.password)
        except LabelStudioRefused:
            raise LabelStudioDidNotStart(
                f"The Label Studio at {account.url} takes neither the token nor the password of "
                f"{account.email} any more: write the present ones into {self._account_file}."
            ) from None
        try:
            answer = owner.http.post("/api/token/")
        finally:
            owner.close()
        if not answer.is_success:
            raise LabelStudioDidNotStart(
                f"The Label Studio at {account.url} does not take legacy tokens any more, and made "
                f"no personal one ({answer.status_code}): copy the personal access token of "
                f"{account.email} from Account & Settings, or make a new one, and write it as "
                f'"token" into {self._account_file}.'
            )
        return str(answer.json()["token"])

    @property
    def _account_file(self) -> Path:
        return self._data / "account.json"
