"""The Label Studio of `hero up` after somebody switched legacy tokens off in it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend.errors import LabelStudioDidNotStart
from backend.label_studio import Gateway
from backend.label_studio.browser_session import Member
from backend.local.label_studio_server import Account, LocalLabelStudio
from backend.local.processes import free_port, stop
from backend.settings import Settings

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


@contextmanager
def started(home: Path) -> Iterator[LocalLabelStudio]:
    server = LocalLabelStudio(
        home / "data", files_root=home / "files", log=home / "log", port=free_port()
    )
    try:
        server.start()
        yield server
    finally:
        stop([server.child])


def test_it_starts_again_with_a_personal_token(empty_label_studio: Path, tmp_path: Path):
    shutil.copytree(empty_label_studio, tmp_path / "data")
    with started(tmp_path) as server:
        account = server.account
        owner = Member.log_in(account.url, account.email, account.password)
        only = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
        owner.http.post("/api/jwt/settings", json=only).raise_for_status()
        owner.close()
    for _ in range(2):
        with started(tmp_path) as server:
            account = server.account
            assert account.token.count(".") == 2
            settings = Settings(
                home=tmp_path, label_studio_url=account.url, label_studio_api_key=account.token
            )
            assert Gateway(settings).ping().email == account.email
    kept = Account.load(tmp_path / "data")
    assert kept is not None
    lost = {**vars(kept), "token": "0" * 40}
    (tmp_path / "data" / "account.json").write_text(json.dumps(lost))
    with pytest.raises(LabelStudioDidNotStart, match=r"personal access token .*account\.json"):
        started(tmp_path).__enter__()
