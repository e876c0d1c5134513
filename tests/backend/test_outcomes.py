"""The table of what becomes of a step that went wrong."""

import errno
import inspect
from types import SimpleNamespace

import httpx
import pytest
from label_studio_sdk.core.api_error import ApiError
from sqlalchemy.exc import IntegrityError, OperationalError

from backend import errors
from backend.errors import (
    HeroServiceError,
    LabelStudioRefused,
    LabelStudioUnreachable,
    LeaseLost,
    NotLabelStudio,
    ProjectGone,
    RequestTooLarge,
    RunChanged,
)
from backend.label_studio.errors import Errors, retry_after
from backend.outcomes import OUTCOMES, Way, outcome_of, untroubled
from backend.store.database import _as_ours

GONE = ProjectGone("gone")
OWN_404 = {"id": "1", "status_code": 404, "version": "1.23.2", "detail": "Not found."}


def translated(error: Exception) -> Exception:
    """What our errors make of one of the SDK's."""
    ours = Errors("http://studio", "http://backend", personal=False)
    with pytest.raises(HeroServiceError) as caught, ours.translated("look", GONE):
        raise error
    return caught.value


def answered(status: int, body: object = "trouble", **headers: str) -> ApiError:
    return ApiError(status_code=status, body=body, headers=headers)


@pytest.mark.parametrize(
    "error",
    [
        *(answered(status) for status in (408, 409, 423, 425, 429, 500, 502, 503, 504, 599)),
        answered(404, "<html>nginx</html>"),
        answered(404, {"detail": "no such route"}),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
        httpx.DecodingError("half of the gzip"),
        OperationalError("select", {}, Exception("server closed the connection unexpectedly")),
        OperationalError("select", {}, Exception("database is locked")),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.ESTALE, "Stale file handle"),
    ],
    ids=str,
)
def test_what_passes_waits(error: Exception):
    if isinstance(error, (ApiError, httpx.HTTPError)):
        error = translated(error)
        assert isinstance(error, LabelStudioUnreachable)
    if isinstance(error, OperationalError):
        error = _as_ours(error)
    assert outcome_of(error).way is Way.wait


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(302), NotLabelStudio),
        (answered(200, "<html>a login</html>"), NotLabelStudio),
        (httpx.TooManyRedirects("a login that leads to itself"), NotLabelStudio),
        (TypeError("argument of type 'NoneType' is not iterable"), NotLabelStudio),
        (AttributeError("'NoneType' object has no attribute 'release'"), NotLabelStudio),
        (answered(413, "<html>too large</html>"), RequestTooLarge),
    ],
)
def test_what_somebody_has_to_mend_says_who(error: Exception, kind: type[Exception]):
    found = translated(error)
    assert type(found) is kind
    outcome = outcome_of(found)
    assert outcome.way is Way.person
    assert outcome.who


@pytest.mark.parametrize(
    "error",
    [
        translated(answered(400, {"detail": "no such field"})),
        translated(answered(404, OWN_404)),
        _as_ours(IntegrityError("insert", {}, Exception("UNIQUE constraint failed"))),
        _as_ours(OperationalError("select", {}, Exception("no such table: runs"))),
        ValueError("a fault of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_would_end_the_same_again_fails(error: Exception):
    assert outcome_of(error).way is Way.fail


def test_only_label_studios_own_404_says_that_a_project_is_gone():
    assert translated(answered(404, OWN_404)) is GONE
    assert type(translated(answered(404, {"status_code": 404}))) is LabelStudioUnreachable
    ours = Errors("http://studio", "http://backend", personal=False)
    with pytest.raises(LabelStudioRefused), ours.translated("look"):
        raise answered(404, OWN_404)
    with pytest.raises(NotLabelStudio), ours.translated("look"):
        raise answered(404, "<html>another program</html>")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7), ("0", 0), ("-3", 0), ("1e9", 3600), ("nan", 0), ("soon", 0), ("", 0)],
)
def test_it_asks_not_to_be_asked_for_a_while(said: str, seconds: float):
    assert retry_after(answered(429, "busy", **{"Retry-After": said})) == seconds
    error = translated(answered(429, "busy", **{"retry-after": said}))
    assert isinstance(error, LabelStudioUnreachable)
    assert error.retry_after == seconds


def test_a_date_to_ask_again_that_is_past_is_now():
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert retry_after(answered(503, "busy", **past)) == 0


def test_a_disk_in_trouble_behind_another_error():
    try:
        try:
            raise OSError(errno.EROFS, "Read-only file system")
        except OSError as error:
            raise errors.EngineFailed("The checkpoint cannot be written.") from error
    except errors.EngineFailed as error:
        assert outcome_of(error).way is Way.fail
    assert outcome_of(RuntimeError("x")).way is Way.fail
    wrapped = RuntimeError("x")
    wrapped.__cause__ = OSError(errno.EROFS, "Read-only file system")
    assert outcome_of(wrapped).way is Way.person


def test_every_error_of_a_step_is_in_the_table():
    dropped = (LeaseLost, RunChanged)
    of_commands = (
        errors.LabelStudioDidNotStart,
        errors.PortInUse,
        errors.ProcessDied,
        errors.DemoFailed,
        errors.RunNotStarted,
    )
    bases = (errors.HeroServiceError, errors.LabelStudioError, errors.StoreError)
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if not issubclass(kind, HeroServiceError) or kind in bases:
            continue
        if kind in dropped or issubclass(kind, of_commands):
            continue
        listed = [each for each in kind.__mro__ if each in OUTCOMES]
        assert listed or kind.__name__ == "PushFailed", kind


def test_a_whole_answer_is_no_trouble():
    ours = Errors("http://studio", "http://backend", personal=False)
    with ours.translated("look", GONE):
        assert SimpleNamespace(release="1").release


def test_a_process_that_starts_waits_for_what_passes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("backend.outcomes.RETRY_SECONDS", 0)
    troubles: list[Exception] = [
        errors.DatabaseUnavailable("away"),
        OSError(errno.ENOSPC, "No space left on device"),
    ]

    def attempt() -> str:
        if troubles:
            raise troubles.pop(0)
        return "opened"

    assert untroubled("open it", attempt) == "opened"
    for raised in (errors.SettingsInvalid("no address"), errors.BadInput("no"), ValueError("no")):
        troubles.append(raised)
        with pytest.raises(type(raised)):
            untroubled("open it", attempt)
