"""A proxy before Label Studio that breaks answers when it is told to."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HTML = b"<html><body><h1>Welcome</h1></body></html>"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"}
STATUSES = (404, 408, 409, 425, 429, 500, 502, 503, 504)
SLOW_SECONDS = 1.5


class Breaking(StrEnum):
    """What may become of an answer, beside the statuses."""

    dropped = "connection dropped, not asked"
    lost = "asked, and the answer lost"
    half = "half of the answer"
    html = "HTML with 200"
    null = "null with 200"
    login = "sent to a login"
    slow = "slow"


@dataclass(frozen=True)
class Answer:
    """What Label Studio said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Trigger:
    """Something to do once, at the next request (that writes, or any)."""

    act: Callable[[int], None]
    """Takes the port that the request came from."""
    after: bool
    """Once Label Studio has answered, instead of before it is asked."""
    writing: bool


class FaultyProxy:
    """Between a client and the server at `target`; whole and honest until `break_answers`.

    Args:
        retry_after: seconds that an answer 429 or 503 asks to wait.
    """

    def __init__(self, target: str, *, retry_after: int = 1) -> None:
        self.target = target
        self.broken: Counter[str] = Counter()
        self._retry_after = retry_after
        self._how: Breaking | int | None = None
        self._trigger: Trigger | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FaultyProxy":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def break_answers(self, how: Breaking | int) -> None:
        """Break every answer so, until `heal`."""
        self._how = how

    def heal(self) -> None:
        """Let everything through."""
        self._how = self._trigger = None

    def at_next_request(self, trigger: Trigger) -> None:
        """Arm a trigger; it takes the place of one that nothing has set off."""
        self._trigger = trigger

    def _pull(self, port: int, *, writing: bool, after: bool) -> None:
        with self._lock:
            trigger = self._trigger
            if trigger is None or trigger.after != after or (trigger.writing and not writing):
                return
            self._trigger = None
        trigger.act(port)

    def _count(self, how: Breaking | int) -> None:
        with self._lock:
            self.broken[str(how)] += 1

    def _ask(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        parts = urlsplit(self.target)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        try:
            connection.request(request.command, request.path, body or None, headers)
            response = connection.getresponse()
            kept = [(k, v) for k, v in response.getheaders() if k.lower() not in HOP_BY_HOP]
            return Answer(response.status, kept, response.read())
        except OSError:
            return Answer(502, [("Content-Type", "text/html")], b"<html>502 Bad Gateway</html>")
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    proxy._serve(self, body)
                except (BrokenPipeError, ConnectionResetError):  # who asked was killed
                    self.close_connection = True

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = serve

            def log_message(self, *_: Any) -> None:
                return

        return Handler

    def _serve(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        port, writing = request.client_address[1], request.command not in ("GET", "HEAD")
        how = self._how
        if how is not None:
            self._count(how)
        self._pull(port, writing=writing, after=False)
        if how == Breaking.dropped:
            return
        if isinstance(how, int):
            headers = [("Content-Type", "text/html"), ("Retry-After", str(self._retry_after))]
            _send(request, Answer(how, headers, b"<html>%d</html>" % how))
            return
        answer = self._ask(request, body)
        self._pull(port, writing=writing, after=True)
        if how == Breaking.lost:
            return
        if how == Breaking.half:
            _send(request, answer, share=0.5)
            return
        if how == Breaking.html:
            answer = Answer(200, [("Content-Type", "text/html")], HTML)
        elif how == Breaking.null:
            answer = Answer(200, [("Content-Type", "application/json")], b"null")
        elif how == Breaking.login:
            answer = Answer(302, [("Location", f"/user/login/?next={request.path}")], b"")
        elif how == Breaking.slow:
            time.sleep(SLOW_SECONDS)
        _send(request, answer)


def _send(request: BaseHTTPRequestHandler, answer: Answer, share: float = 1.0) -> None:
    request.send_response(answer.status)
    for name, value in answer.headers:
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(answer.body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(answer.body[: int(len(answer.body) * share)])
