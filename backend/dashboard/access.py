"""Who may see the run pages: whoever came by a link that `hero` printed, or knows their password.

Both give the browser a signed cookie. That a request comes from this machine says nothing of who
sent it: a proxy here passes on what others ask, and a page of any site can let a browser here ask.
"""

import hashlib
import hmac
import secrets
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from backend.settings import Settings

COOKIE = "hero_pages"
COOKIE_SECONDS = 30 * 86_400
LINK_SECONDS = 86_400


def link(settings: Settings, run_id: str = "", *, to_label: bool = False) -> str:
    """A link that leads into the pages once, within a day.

    Args:
        run_id: the run whose page it opens; the list of all runs if empty.
        to_label: open the page to label on.
    """
    token = _links(settings).dumps([secrets.token_urlsafe(12), run_id, *["label"] * to_label])
    return f"{settings.pages_base_url}/login?token={token}"


def follow(settings: Settings, token: str) -> str | None:
    """The path that a link's token leads to, once; None if it was used or is not ours."""
    try:
        number, *path = _links(settings).loads(
            token.encode("utf-8", "replace"), max_age=LINK_SECONDS
        )
    except BadData:
        return None
    if not _first_use(settings.home / "links", number):
        return None
    return "/".join(["/runs", *(quote(part, safe="") for part in path if part)])


def password_fits(settings: Settings, password: str) -> bool:
    """Whether that is the password of the run pages; never if there is none."""
    wanted = settings.pages_password.get_secret_value().encode()
    return bool(wanted) and hmac.compare_digest(password.encode(), wanted)


def new_cookie(settings: Settings) -> str:
    """The cookie of somebody who was let in."""
    return _cookies(settings).sign(secrets.token_urlsafe(12)).decode()


def cookie_fits(settings: Settings, cookie: str | None) -> bool:
    """Whether the cookie is one that we gave, by the present password, and not too old."""
    shown = (cookie or "").encode("utf-8", "replace")
    return _cookies(settings).validate(shown, max_age=COOKIE_SECONDS)


def for_https_only(settings: Settings) -> bool:
    """Whether the pages' own address is https, so that the cookie must not go by http."""
    return urlsplit(settings.pages_base_url).scheme == "https"


def _links(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.cookie_key.get_secret_value(), salt="link to the pages")


def _cookies(settings: Settings) -> TimestampSigner:
    # With another password, all have to say who they are again.
    password = hashlib.sha256(settings.pages_password.get_secret_value().encode()).hexdigest()
    return TimestampSigner(
        settings.cookie_key.get_secret_value(),
        salt=f"cookie of the pages {password}",
        digest_method=hashlib.sha256,
    )


def _first_use(folder: Path, number: str) -> bool:
    """Whether a link is followed for the first time, whichever process is asked."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process removes them as well
            if path.stat().st_mtime < time.time() - 2 * LINK_SECONDS:
                path.unlink()
    try:
        (folder / hashlib.sha256(number.encode()).hexdigest()).touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    return True
