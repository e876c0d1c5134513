"""The server below the app: waitress, with limits that no connection gets around.

Connections are read in one thread, and a thread of the app is taken only by a request that is there
as a whole, so that who sends slowly or not at all keeps nobody waiting. What is held for strangers
is bounded: the number of connections (the one that has waited longest goes), the time that a
request may take to arrive, and the size of its body.
"""

import ctypes
import select
import sys
from collections.abc import Callable, Mapping
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer, create_server
from waitress.utilities import RequestEntityTooLarge

from backend.run.webhook_contract import SECRET_HEADER
from backend.web.body import MAX_BODY_BYTES

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CONNECTIONS = 4096
"""More at once than that, and the one that has waited longest without a whole request is closed."""
SECONDS_TO_ARRIVE = 30
"""After that a connection that has not brought a whole request is closed."""
SECONDS_BETWEEN_LOOKS = 5
STRANGERS_BYTES = 16 * 2**10
"""The largest body of a request that does not show a password or the secret; a login is smaller."""
THREADS = 8
SECONDS_OF_A_TURN = 0.001
"""So long a thread keeps others waiting at most; Python's own 5 ms add up over eight of them."""
_M_MMAP_THRESHOLD = -3


def give_memory_back() -> None:
    """From now on, what a large body took goes back to the system when it is freed.

    glibc else keeps it, for each thread, as soon as one such block has been freed once.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 256 * 2**10)


def server(
    app: Callable[..., Any], host: str, port: int, known: Callable[[Mapping[str, str], str], bool]
) -> Any:
    """The server, listening; `run()` serves until SystemExit or KeyboardInterrupt.

    Args:
        app: the WSGI app.
        port: 0 for a free one.
        known: whether the headers of a request from an address are Label Studio's, so that its body
            may be large.
    """
    sys.setswitchinterval(SECONDS_OF_A_TURN)
    connections = min(CONNECTIONS, _descriptors() // 2)
    sockets: dict[int, Any] = {}
    made = create_server(
        app,
        map=sockets,
        host=host,
        port=port,
        threads=THREADS,
        ident=None,
        asyncore_use_poll=hasattr(select, "poll"),
        backlog=1024,
        connection_limit=2 * connections,
        channel_timeout=SECONDS_TO_ARRIVE,
        cleanup_interval=SECONDS_BETWEEN_LOOKS,
        max_request_header_size=32 * 2**10,
        max_request_body_size=MAX_BODY_BYTES + 1,
        inbuf_overflow=STRANGERS_BYTES,
        clear_untrusted_proxy_headers=True,
        trusted_proxy="::1" if ":" in host else "127.0.0.1",
        trusted_proxy_count=1,
        trusted_proxy_headers={"x-forwarded-for", "x-forwarded-proto"},
    )
    channel = _channel(connections, known)
    for each in sockets.values():
        if isinstance(each, BaseWSGIServer):
            each.channel_class = channel
    return made


def _descriptors() -> int:
    """How many files and connections this process may have open, after asking for all it may."""
    if resource is None:
        return 512  # select() of Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 4 * CONNECTIONS)
    if soft == resource.RLIM_INFINITY:
        return wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    except (OSError, ValueError):  # macOS has a lower limit than it says
        return soft
    return max(soft, wanted)


def _channel(
    connections: int, known: Callable[[Mapping[str, str], str], bool]
) -> type[HTTPChannel]:
    class Parser(HTTPRequestParser):
        address = ""
        refuses = False

        def received(self, data: bytes) -> int:
            had_headers = self.headers_finished
            consumed: int = super().received(data)
            if self.headers_finished and not had_headers and self.body_rcv is not None:
                large = self.chunked or self.content_length > STRANGERS_BYTES
                self.refuses = large and not known(_shown(self.headers), self.address)
            size = max(self.content_length, self.body_bytes_received)
            if self.refuses and size > STRANGERS_BYTES and self.error is None:
                self.error = RequestEntityTooLarge(
                    f"without the right password or secret a body has at most {STRANGERS_BYTES} "
                    "bytes"
                )
                self.completed = True
                self.expect_continue = False
            return consumed

    class Channel(HTTPChannel):
        def __init__(self, server: Any, *arguments: Any, **named: Any) -> None:
            super().__init__(server, *arguments, **named)
            others = server.active_channels
            if len(others) > connections:
                waiting = (each for each in others.values() if not each.requests)
                oldest = min(waiting, key=lambda each: each.last_activity, default=None)
                if oldest is not None:
                    oldest.handle_close()

        def parser_class(self, adj: Any) -> HTTPRequestParser:  # type: ignore[override]
            parser = Parser(adj)
            parser.address = str(self.addr[0])
            return parser

        def handle_read(self) -> None:
            before = self.last_activity
            super().handle_read()
            if not self.requests:
                self.last_activity = before  # only a whole request counts, not each byte of it

    return Channel


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that `known` looks at, by their usual names; waitress has others."""
    names = ("Authorization", SECRET_HEADER)
    return {name: headers.get(name.upper().replace("-", "_"), "") for name in names}
