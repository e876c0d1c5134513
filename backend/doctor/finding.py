"""What a check found, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from backend.errors import HeroServiceError


@dataclass(frozen=True)
class Finding:
    """One check's outcome; `advice` says what to do about what is not ok."""

    name: str
    level: Literal["ok", "note", "FAIL"]
    detail: str
    advice: str = ""


class Note(HeroServiceError):
    """Runs go on with this, but somebody should know; like an error: what; what to do."""


def tried(name: str, check: Callable[[], str]) -> Finding:
    """The finding of a check that returns what is well and raises what is not."""
    try:
        return Finding(name, "ok", check())
    except HeroServiceError as error:
        return failed(name, error)


def failed(name: str, error: HeroServiceError) -> Finding:
    """The finding of a check that could not be made."""
    what, _, advice = str(error).partition("; ")
    return Finding(
        name,
        "note" if isinstance(error, Note) else "FAIL",
        what,
        advice[:1].upper() + advice[1:],
    )
