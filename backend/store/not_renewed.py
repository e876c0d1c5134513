"""For how long leases were not renewed, by a clock that nobody sets."""

import time
from collections.abc import Hashable


class NotRenewed:
    """Remembers when each lease was first seen as it is."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[Hashable, float]] = {}

    def seconds(self, what: Hashable, lease: Hashable) -> float:
        """Since this lease was first seen as it is.

        Args:
            what: is held by the lease.
            lease: what changes whenever it is renewed, or another one's.
        """
        now = time.monotonic()
        known = self._seen.get(what)
        if known is None or known[0] != lease:
            known = self._seen[what] = (lease, now)
        return now - known[1]
