"""For how long leases were not renewed, by a clock that nobody sets."""

import time
from collections.abc import Hashable
from datetime import datetime


class NotRenewed:
    """Remembers when each lease was first seen as it is."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[Hashable, float]] = {}

    def holds(
        self,
        what: Hashable,
        holder: Hashable,
        until: datetime | None,
        now: datetime,
        lease_seconds: float,
    ) -> bool:
        """Whether a lease has not ended; one that lasts longer than any may is of a clock that was
        set back since, and ends when nobody has renewed it for twice as long.

        Args:
            what: is held by the lease.
            holder: changes when another one holds it.
            until: when it ends; None for no lease.
        """
        if until is None or until <= now:
            return False
        return self._seconds(what, (holder, until)) < 2 * lease_seconds

    def _seconds(self, what: Hashable, lease: Hashable) -> float:
        """Since this lease was first seen as it is."""
        now = time.monotonic()
        known = self._seen.get(what)
        if known is None or known[0] != lease:
            known = self._seen[what] = (lease, now)
        return now - known[1]
