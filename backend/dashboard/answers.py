"""What the pages answer with: HTML, pictures, and the headers of both."""

from pathlib import Path
from typing import Any

from flask import Response, g, make_response, request, send_file

from backend.dashboard import miniatures
from backend.dashboard.access import Role
from backend.dashboard.rendering import HERE, render

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "style-src-attr 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def protect(response: Response) -> Response:
    """The headers of every page, where an answer has no others."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def let_in(role: Role, token: str) -> None:
    """Remember who asks, for the pages of this request.

    Args:
        token: what their pages send along when they change something.
    """
    g.role, g.token = role, token


def may_steer() -> bool:
    """Whether who asks may do more than look."""
    return g.get("role") is Role.owner


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """HTML whose ETag is of its text: who polls is answered 304 until something changes."""
    token = g.get("token", "") if may_steer() else ""
    response = make_response(render(template, token=token, **values), status)
    response.headers["Cache-Control"] = "private, no-cache"
    if status == 200:
        response.add_etag()
        response.make_conditional(request)
    return response


def picture(content: bytes) -> Response:
    """A small picture, made for a page."""
    response = Response(content, mimetype="image/webp")
    response.headers["Cache-Control"] = "private, max-age=60"
    response.add_etag()
    response.make_conditional(request)
    return response


def small(path: Path) -> Response:
    """An image, small."""
    try:
        return picture(miniatures.thumbnail(path))
    except OSError:
        return missing()


def original(path: Path) -> Response:
    """An image as it was drawn."""
    if not path.exists():
        return missing()
    response = send_file(path, mimetype="image/png", conditional=True)
    response.headers["Cache-Control"] = "private, max-age=60"
    return response


def missing() -> Response:
    """Stands for an image that is not there."""
    return send_file(HERE / "static" / "missing.svg", max_age=0)
