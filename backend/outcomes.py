"""What becomes of a step that went wrong: the one table.

A step *waits* where trouble passes by itself, and is tried again, more and more rarely. It waits
for a *person* where somebody has to mend something outside of the run, which then goes on by
itself. It *fails* where another try would end as this one did: then a person decides, by `hero
resume` or `hero stop`. What is not in the table fails, with a traceback in the log.
"""

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from backend import errors
from backend.files import causes, is_disk_full

logger = logging.getLogger(__name__)

Made = TypeVar("Made")

RETRY_SECONDS = 5.0
"""Between two attempts of a process that starts."""


class Way(StrEnum):
    """How a step goes on."""

    wait = "wait"
    person = "person"
    fail = "fail"


@dataclass(frozen=True)
class Outcome:
    """What becomes of a step."""

    way: Way
    who: str = ""
    """Who can mend it, for a sentence."""


WAIT, FAIL = Outcome(Way.wait), Outcome(Way.fail)
_OWNER = "whoever started the run"
_KEEPER = "whoever runs Label Studio"
_PROXY = "whoever runs the proxy before Label Studio"
_MANAGER = "whoever manages the project in Label Studio"
_MACHINE = "whoever runs this machine"

OUTCOMES: dict[type[errors.HeroServiceError], Outcome] = {
    errors.LabelStudioUnreachable: WAIT,
    errors.DatabaseUnavailable: WAIT,
    errors.DiskFull: WAIT,
    errors.NotLabelStudio: Outcome(Way.person, _KEEPER),
    errors.RequestTooLarge: Outcome(Way.person, _PROXY),
    errors.TokenRefused: Outcome(Way.person, _OWNER),
    errors.PrivateAddressRefused: Outcome(Way.person, _KEEPER),
    errors.BackendUnreachable: Outcome(Way.person, _MACHINE),
    errors.LabelConfigUnusable: Outcome(Way.person, _MANAGER),
    errors.ImageUnresolvable: Outcome(Way.person, _KEEPER),
    errors.SettingsInvalid: Outcome(Way.person, _MACHINE),
    errors.ProjectGone: FAIL,
    errors.LabelStudioRefused: FAIL,
    errors.BadInput: FAIL,
    errors.EngineFailed: FAIL,
    errors.ProcessLost: WAIT,
    errors.ProcessUnready: Outcome(Way.person, _MACHINE),
}
"""By the error, or the nearest of what it is a kind of."""

PASSING_STATUSES = frozenset({408, 409, 421, 423, 425, 429, *range(500, 600)})
"""What Label Studio, or a proxy before it, answers in trouble that passes: timeouts, locks, too
many requests, a restart."""
TOO_LARGE = 413
LOGIN_STATUSES = frozenset(range(300, 400))
"""Sent elsewhere: a login page of something before Label Studio."""

_DISK: dict[int, Outcome] = {
    **dict.fromkeys((errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EAGAIN), WAIT),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.EBUSY), WAIT),
    **dict.fromkeys(
        (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO), Outcome(Way.person, _MACHINE)
    ),
}
"""By the number of an operating system's error: what a disk, or a shared folder, may come back
from. `is_disk_full` knows what says that there is no space."""


def outcome_of(error: BaseException) -> Outcome:
    """What the table says of an error."""
    for kind in type(error).__mro__:
        if kind in OUTCOMES:
            return OUTCOMES[kind]
    if is_disk_full(error):
        return WAIT
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in _DISK:
            return _DISK[cause.errno]
    return FAIL


def untroubled(what: str, attempt: Callable[[], Made]) -> Made:
    """`attempt()`, again and again while what keeps a starting process from it passes by itself, or
    can be mended beside it. Settings are read once, so wrong ones are raised."""
    while True:
        try:
            return attempt()
        except errors.SettingsInvalid:
            raise
        except (errors.HeroServiceError, OSError) as error:
            if outcome_of(error).way is Way.fail:
                raise
            logger.warning("cannot %s yet, and try again: %s", what, error)
            time.sleep(RETRY_SECONDS)
