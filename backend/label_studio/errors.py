"""What goes wrong with Label Studio, as one sentence each: what was tried, why, what to do."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

import httpx
from label_studio_sdk.core.api_error import ApiError
from pydantic import ValidationError

from backend import outcomes
from backend.errors import (
    BackendUnreachable,
    LabelStudioRefused,
    LabelStudioUnreachable,
    NotLabelStudio,
    PrivateAddressRefused,
    ProjectGone,
    RequestTooLarge,
    TokenRefused,
)

MISUNDERSTOOD = (
    ValidationError,
    json.JSONDecodeError,
    UnicodeDecodeError,
    AttributeError,
    KeyError,
    TypeError,
)
"""What the SDK raises of an answer that is none of Label Studio's: HTML, half of the JSON, null."""
LONGEST_RETRY_AFTER = 3600.0


class Errors:
    """Turns the SDK's errors into ours, for one Label Studio.

    Args:
        url: of Label Studio.
        backend_url: at which Label Studio reaches this backend.
        personal: the token is a personal access token, by its looks.
    """

    def __init__(self, url: str, backend_url: str, *, personal: bool) -> None:
        self._url = url
        self._backend_url = backend_url
        self._personal = personal

    @contextmanager
    def translated(self, what: str, not_found: Exception | None = None) -> Iterator[None]:
        """Turn what goes wrong in the block into an error of ours; `not_found` for 404."""
        try:
            yield
        except ApiError as error:
            self.refuse(what, error, not_found)
        except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as error:
            raise self.unreachable(error) from error
        except (httpx.TooManyRedirects, *MISUNDERSTOOD) as error:
            raise self.not_label_studio() from error

    def refuse(self, what: str, error: ApiError, not_found: Exception | None) -> None:
        """Raise what an answer with an error status means; `not_found` for 404, if given."""
        words = words_of(error)
        status = error.status_code or 0
        if status in (401, 403) and "not allowed" not in words and "reserved" not in words:
            raise TokenRefused(self._token_advice(what, words)) from None
        # Some lists answer 400 where the project is gone.
        missing = says_not_found(error) or "not one of the available" in words
        if not_found is not None and missing:
            raise not_found from None
        if status == 404 and not missing:
            if isinstance(not_found, ProjectGone):
                raise self._in_trouble(what, error) from None
            raise not_found or self.not_label_studio() from None
        if "reserved network" in words or "private network" in words:
            raise PrivateAddressRefused(
                f"Cannot {what}: Label Studio at {self._url} does not talk to private addresses "
                f"such as {self._backend_url}; start it with "
                "SSRF_PROTECTION_ENABLED=false and ML_BLOCK_LOCAL_IP=false, or set HERO_URL to a "
                "public address of this backend."
            ) from None
        if "connect to ML" in words or "ML Server" in words or "resolve hostname" in words:
            raise BackendUnreachable(
                f"Cannot {what}: Label Studio at {self._url} cannot reach this backend at "
                f"{self._backend_url} ({_short(words.split('. ')[0])}); start it with `hero up`, "
                "or set HERO_URL to the address at which Label Studio sees it."
            ) from None
        if status in outcomes.PASSING_STATUSES:
            raise self._in_trouble(what, error) from None
        if status == outcomes.TOO_LARGE:
            raise RequestTooLarge(
                f"Cannot {what}: something before Label Studio at {self._url} takes no request of "
                "that size (413); let it take larger ones (nginx: client_max_body_size 100m;)."
            ) from None
        if status == 200 or status in outcomes.LOGIN_STATUSES or "<html" in words.lower():
            raise self.not_label_studio() from None
        raise LabelStudioRefused(
            f"Cannot {what}: Label Studio at {self._url} answered {status} ({_short(words)}); "
            "correct what it names and try again."
        ) from None

    def _in_trouble(self, what: str, error: ApiError) -> LabelStudioUnreachable:
        """Label Studio, or what stands before it, cannot answer now."""
        trouble = LabelStudioUnreachable(
            f"Cannot {what}: Label Studio at {self._url} answered {error.status_code} "
            f"({_short(words_of(error))}); look at its log and try again."
        )
        trouble.retry_after = retry_after(error)
        return trouble

    def _token_advice(self, what: str, words: str) -> str:
        tried = f"Cannot {what} at {self._url}: Label Studio refuses the token"
        if "legacy" in words.lower():
            return (
                f"{tried}, since legacy tokens are switched off in its organization; set "
                "LABEL_STUDIO_API_KEY to a personal access token, or allow legacy tokens under "
                "Organization > API Tokens Settings."
            )
        kind = "personal access token" if self._personal else "legacy token"
        other = (
            "it may be expired, revoked, or an access token instead of the one shown once at its "
            "making"
            if self._personal
            else "it may be mistyped, or legacy tokens may be switched off"
        )
        return (
            f"{tried} ({_short(words).rstrip('.')}); it looks like a {kind}, and {other}: copy a "
            f"token from {self._url}/user/account into LABEL_STUDIO_API_KEY."
        )

    def unreachable(self, error: Exception) -> LabelStudioUnreachable:
        """Nothing answers there."""
        reason = _short(str(error)) or type(error).__name__
        return LabelStudioUnreachable(
            f"Cannot reach Label Studio at {self._url} ({reason}); start it, or correct "
            "LABEL_STUDIO_URL."
        )

    def not_label_studio(self) -> NotLabelStudio:
        """Something else answers there."""
        return NotLabelStudio(
            f"Something answers at {self._url}, but it is not Label Studio; correct "
            "LABEL_STUDIO_URL (the address of its start page, such as http://127.0.0.1:8080)."
        )

    def gone(self, project_id: int) -> ProjectGone:
        """The project is not there any more."""
        return ProjectGone(
            f"Cannot find the project {project_id} in Label Studio at {self._url}: it was deleted, "
            "or belongs to another organization; `hero resume` puts the run's present epoch into a "
            "new project, `hero stop` ends the run."
        )


def refuse_null(response: httpx.Response) -> None:
    """Raise for an answer that is `null`, or for nothing where something was asked for: the SDK
    would hand it on as if it were one."""
    if response.is_success and "json" in response.headers.get("Content-Type", "json"):
        said = response.read().strip()
        if said == b"null" or (not said and response.request.method == "GET"):
            raise TypeError(f"{response.request.url} answered {said.decode() or 'nothing'}.")


def says_not_found(error: ApiError) -> bool:
    """Whether Label Studio itself says that something is not there; a proxy's 404 is another."""
    body = error.body
    return (
        error.status_code == 404
        and isinstance(body, Mapping)
        and body.get("status_code") == 404
        and "version" in body
    )


def retry_after(error: ApiError) -> float:
    """Seconds that an answer asks to wait for (RFC 9110, 10.2.3), an hour at most; else 0."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    said = headers.get("retry-after", "")
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if isfinite(seconds) else 0.0


def words_of(error: ApiError) -> str:
    """What Label Studio said, without the headers (which hold session cookies)."""
    body = error.body
    if not isinstance(body, Mapping):
        return str(body)
    problems = body.get("validation_errors")
    if isinstance(problems, Mapping):
        return "; ".join(
            f"{field}: {' '.join(map(str, texts))}"
            if field != "non_field_errors"
            else " ".join(map(str, texts))
            for field, texts in problems.items()
        )
    return str(body.get("detail") or problems or body)


def _short(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= 200 else f"{words[:199]}…"
