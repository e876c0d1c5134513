"""How people get to the run pages: `/login?token=...` from a link, or their password, as JSON."""

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from backend.dashboard import access, ask_who
from backend.dashboard.attempts import Attempts
from backend.errors import HeroServiceError, NotAuthorized
from backend.settings import Settings
from backend.web.body import read_json

NAME = "login"


def login(settings: Settings, attempts: Attempts) -> Blueprint:
    """The blueprint, which anybody may see."""
    blueprint = Blueprint(NAME, __name__)

    @blueprint.get("/login")
    def follow_link() -> AnyResponse:
        token = request.args.get("token", "")
        if request.method == "HEAD":
            return Response(status=204)  # a link lets in once: who only looks at it does not use it
        try:
            attempts.check(request.remote_addr)
            found = access.follow(settings, token)
            if found is None:
                attempts.failed(request.remote_addr)
                raise NotAuthorized(
                    "This link does not lead in: it was used already, is more than a day old, or "
                    "is of another server."
                )
        except HeroServiceError as error:
            return ask_who(settings, error)
        path, role = found
        return _with_cookie(settings, redirect(path, 303), role)

    @blueprint.post("/login")
    def take_password() -> AnyResponse:
        password = read_json(request).get("password")
        attempts.check(request.remote_addr)
        if not access.password_fits(settings, password if isinstance(password, str) else ""):
            attempts.failed(request.remote_addr)
            raise NotAuthorized("This is not the password of the run pages.")
        return _with_cookie(settings, Response(status=204), access.Role.guest)

    return blueprint


def _with_cookie(settings: Settings, response: AnyResponse, role: access.Role) -> AnyResponse:
    """The answer that lets a browser in; who was more already stays it."""
    before = access.role_of(settings, request.cookies.get(access.COOKIE))
    if before is access.Role.owner:
        role = before
    response.set_cookie(
        access.COOKIE,
        access.new_cookie(settings, role),
        max_age=access.COOKIE_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=access.for_https_only(settings) or request.is_secure,
    )
    return response
