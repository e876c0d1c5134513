"""Who may see the run pages: whoever came by a link that `hero` printed, or knows their password.

Both give the browser a signed cookie, which says whether its holder may only look, or also steer.
That a request comes from this machine says nothing of who sent it: a proxy here passes on what
others ask, and a page of any site can let a browser here ask. So what changes something also needs
a token that stands in the pages alone.
"""

import hashlib
import hmac
import secrets
import time
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, urlsplit

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from backend.settings import Settings

COOKIE = "hero_pages"
COOKIE_SECONDS = 30 * 86_400
LINK_SECONDS = 86_400
TOKEN_HEADER = "X-Hero-Token"


class Role(StrEnum):
    """What somebody who was let in may do."""

    owner = "owner"
    """See everything, start runs, steer them, and take away what they made."""
    guest = "guest"
    """See everything, and label."""


def link(
    settings: Settings, run_id: str = "", *, to_label: bool = False, role: Role = Role.owner
) -> str:
    """A link that leads into the pages once, within a day.

    Args:
        run_id: the run whose page it opens; the list of all runs if empty.
        to_label: open the page to label on.
        role: what who follows it may do.
    """
    number = secrets.token_urlsafe(12)
    token = _links(settings).dumps([number, role, run_id, *["label"] * to_label])
    return f"{settings.pages_base_url}/login?token={token}"


def follow(settings: Settings, token: str) -> tuple[str, Role] | None:
    """The path that a link's token leads to, and as whom, once; None if it was used or is not
    ours."""
    try:
        number, role, *path = _links(settings).loads(
            token.encode("utf-8", "replace"), max_age=LINK_SECONDS
        )
    except BadData:
        return None
    if not _first_use(settings.home / "links", number):
        return None
    return "/".join(["/runs", *(quote(part, safe="") for part in path if part)]), Role(role)


def password_fits(settings: Settings, password: str) -> bool:
    """Whether that is the password of the run pages; never if there is none."""
    wanted = settings.pages_password.get_secret_value().encode()
    return bool(wanted) and hmac.compare_digest(password.encode(), wanted)


def new_cookie(settings: Settings, role: Role = Role.guest) -> str:
    """The cookie of somebody who was let in."""
    return _cookies(settings).sign(f"{role}:{secrets.token_urlsafe(12)}").decode()


def role_of(settings: Settings, cookie: str | None) -> Role | None:
    """What the holder of a cookie may do; None if it is not one that we gave, by the present
    password, or is too old."""
    shown = (cookie or "").encode("utf-8", "replace")
    try:
        said = _cookies(settings).unsign(shown, max_age=COOKIE_SECONDS)
    except BadData:
        return None
    # Those of earlier versions say nothing: whoever has one may look.
    return Role.owner if said.startswith(f"{Role.owner}:".encode()) else Role.guest


def page_token(settings: Settings, cookie: str | None) -> str:
    """What the pages of a cookie's holder send along when they change something."""
    key = settings.cookie_key.get_secret_value().encode()
    shown = b"token of the pages " + (cookie or "").encode("utf-8", "replace")
    return hmac.new(key, shown, hashlib.sha256).hexdigest()


def token_fits(settings: Settings, cookie: str | None, token: str | None) -> bool:
    """Whether that is the token of the cookie's holder."""
    given = (token or "").encode("utf-8", "replace")
    return hmac.compare_digest(page_token(settings, cookie).encode(), given)


def for_https_only(settings: Settings) -> bool:
    """Whether the pages' own address is https, so that the cookie must not go by http."""
    return urlsplit(settings.pages_base_url).scheme == "https"


def _links(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        settings.cookie_key.get_secret_value(), salt="link to the pages, as somebody"
    )


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
