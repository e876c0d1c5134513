"""What Label Studio's pages carry besides their own; see the scripts beside this file."""

from collections.abc import Callable
from pathlib import Path

from django.http import HttpRequest, HttpResponse

_SCRIPTS = "\n".join(
    (Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("ranges.js", "frame.js")
)


class Scripts:
    """Django's middleware: puts the scripts at the end of every whole HTML page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """See Django's middleware."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        response = self._get_response(request)
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response
        nonce = getattr(request, "csp_nonce", "")
        script = f'<script nonce="{nonce}">{_SCRIPTS}</script></body>'.encode()
        response.content = response.content.replace(b"</body>", script, 1)
        if response.has_header("Content-Length"):
            response["Content-Length"] = str(len(response.content))
        return response
