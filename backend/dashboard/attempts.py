"""Wrong passwords are slowed down: a few at once, then one every few seconds from one address."""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from backend.errors import TooManyAttempts

ALLOWED = 10
SECONDS_EACH = 3.0
_REMEMBERED = 10_000


class Attempts:
    """How many wrong ones came from each address lately.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._forgiven_at: OrderedDict[str, float] = OrderedDict()

    def check(self, address: str | None) -> None:
        """Whether an address may try, asked before a password is looked at.

        Raises:
            TooManyAttempts: not yet, even with the right one.
        """
        if self._seconds(address) > (ALLOWED - 1) * SECONDS_EACH:
            raise TooManyAttempts(
                "Refused to look at the password: too many wrong ones came from this address; try "
                f"again in {SECONDS_EACH:.0f} seconds."
            )

    def failed(self, address: str | None) -> None:
        """One was wrong."""
        seconds = self._seconds(address)
        with self._lock:
            key = _network(address)
            self._forgiven_at[key] = self._clock() + seconds + SECONDS_EACH
            self._forgiven_at.move_to_end(key)
            if len(self._forgiven_at) > _REMEMBERED:
                self._forgiven_at.popitem(last=False)

    def _seconds(self, address: str | None) -> float:
        """Until all wrong ones of an address are forgiven."""
        with self._lock:
            until = self._forgiven_at.get(_network(address), 0.0)
        return max(until - self._clock(), 0.0)


def _network(address: str | None) -> str:
    """The address; of IPv6, whose owners have very many, the network."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
