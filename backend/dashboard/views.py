"""The pages' addresses: each reads the store and answers HTML or a picture."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, make_response, redirect, request, send_file
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from backend.dashboard import charts, labelling_page, links, miniatures
from backend.dashboard.commands import commands
from backend.dashboard.epochs import EpochFacts, Tile, read_epochs
from backend.dashboard.facts import read_run, read_samples
from backend.dashboard.rendering import HERE, render
from backend.errors import HeroServiceError, NotAuthorized, RunNotFound
from backend.run.records import Image
from backend.run.states import ACTIVE
from backend.settings import Settings
from backend.show import run_view
from backend.store import Store

logger = logging.getLogger(__name__)

NAME = "pages"
ASSETS = f"{NAME}.static"
"""The endpoint of what shows nothing of a run."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; "
    "style-src-attr 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def pages(settings: Settings, store: Store) -> Blueprint:
    """The blueprint. Who may see it is the server's to check: all but `ASSETS` needs the cookie."""
    blueprint = Blueprint(NAME, __name__, static_folder="static", static_url_path="/runs-assets")
    blueprint.register_error_handler(NotAuthorized, partial(ask_who, settings))

    @blueprint.get("/runs")
    def all_runs() -> Response:
        views = [run_view.read(store, run.id) for run in store.runs()]
        return _page("runs.html", views=views, running=any(v.run.state in ACTIVE for v in views))

    @blueprint.get("/runs/<run_id>")
    def one_run(run_id: str) -> AnyResponse:
        facts = read_run(settings, store, run_id)
        if facts.run.id != run_id:
            return redirect(f"/runs/{facts.run.id}")
        return _page(
            "run.html",
            facts=facts,
            links=links.WebLinks(facts.run.id),
            success=charts.success(facts),
            learning=charts.learning(facts),
            commands=commands(facts.run),
        )

    @blueprint.get("/runs/<run_id>/label")
    def label(run_id: str) -> AnyResponse:
        page = labelling_page.read_labelling_page(settings, store, run_id)
        if page.run.id != run_id:
            return redirect(f"/runs/{page.run.id}/label")
        stream = labelling_page.stream(settings, page.run)
        web = links.WebLinks(page.run.id)
        answer = _page("label.html", page=page, run=page.run, stream=stream, links=web)
        policy = HEADERS["Content-Security-Policy"]
        framed = labelling_page.origin(stream) if stream else "'none'"
        answer.headers["Content-Security-Policy"] = f"{policy}; frame-src {framed}"
        return answer

    @blueprint.get("/runs/<run_id>/label/pulse")
    def pulse(run_id: str) -> Response:
        answer = make_response(labelling_page.pulse(store, run_id))
        answer.mimetype = "text/plain"
        return answer

    @blueprint.get("/runs/<run_id>/epochs/<number>")
    def one_epoch(run_id: str, number: str) -> AnyResponse:
        facts = read_run(settings, store, run_id)
        if facts.run.id != run_id:
            return redirect(f"/runs/{facts.run.id}/epochs/{number}")
        epoch = _epoch(facts.epochs, run_id, number)
        by_reward = request.args.get("order") == "reward"
        return _page(
            "epoch.html",
            facts=facts,
            epoch=epoch,
            tiles=sorted(epoch.tiles, key=_worth) if by_reward else epoch.tiles,
            links=links.WebLinks(facts.run.id),
            by_reward=by_reward,
        )

    @blueprint.get("/runs/<run_id>/epochs/<number>/mosaic")
    def mosaic(run_id: str, number: str) -> Response:
        epoch = _epoch(read_epochs(store, store.run(run_id)), run_id, number)
        return _picture(links.mosaic(settings.images_dir, epoch))

    @blueprint.get("/runs/<run_id>/epochs/<number>/images/<int:index>")
    def image(run_id: str, number: str, index: int) -> Response:
        path = settings.images_dir / _image(store, run_id, number, index).path
        return _file(path) if path.exists() else _missing()

    @blueprint.get("/runs/<run_id>/epochs/<number>/thumbnails/<int:index>")
    def thumbnail(run_id: str, number: str, index: int) -> Response:
        return _small(settings.images_dir / _image(store, run_id, number, index).path)

    @blueprint.get("/runs/<run_id>/samples/<int:epochs>/<int:index>")
    def sample(run_id: str, epochs: int, index: int) -> Response:
        rows = read_samples(settings, store.run(run_id))
        files = next((row.files for row in rows if row.epochs == epochs), ())
        return _small(files[index]) if index < len(files) else _missing()

    @blueprint.after_request
    def protect(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @blueprint.errorhandler(HeroServiceError)
    def refused(error: HeroServiceError) -> Response:
        return _page("error.html", status=error.http_status, message=str(error))

    @blueprint.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return _page("error.html", status=error.code or 500, message=error.description)

    @blueprint.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        logger.exception("%s failed", request.path)
        return _page("error.html", status=500, message="The backend failed; its log says why.")

    return blueprint


def ask_who(settings: Settings, error: HeroServiceError) -> Response:
    """The page on which people say who they are."""
    has_password = bool(settings.pages_password.get_secret_value())
    status = error.http_status
    answer = _page("login.html", status=status, message=str(error), has_password=has_password)
    answer.headers["Cache-Control"] = "no-store"
    for name, value in HEADERS.items():
        answer.headers[name] = value
    return answer


def _page(template: str, *, status: int = 200, **values: Any) -> Response:
    """HTML whose ETag is of its text: who polls is answered 304 until something changes."""
    response = make_response(render(template, **values), status)
    response.headers["Cache-Control"] = "private, no-cache"
    if status == 200:
        response.add_etag()
        response.make_conditional(request)
    return response


def _picture(content: bytes) -> Response:
    response = Response(content, mimetype="image/webp")
    response.headers["Cache-Control"] = "private, max-age=60"
    response.add_etag()
    response.make_conditional(request)
    return response


def _small(path: Path) -> Response:
    try:
        return _picture(miniatures.thumbnail(path))
    except OSError:
        return _missing()


def _file(path: Path) -> Response:
    response = send_file(path, mimetype="image/png", conditional=True)
    response.headers["Cache-Control"] = "private, max-age=60"
    return response


def _missing() -> Response:
    return send_file(HERE / "static" / "missing.svg", max_age=0)


def _worth(tile: Tile) -> tuple[float, int]:
    """Highest reward first; before there are rewards, highest prediction."""
    image = tile.image
    worth = image.reward if image.reward is not None else image.prediction
    return -worth if worth is not None else 2.0, image.index


def _epoch(epochs: tuple[EpochFacts, ...], run_id: str, number: str) -> EpochFacts:
    for epoch in epochs:
        if number == str(epoch.number):
            return epoch
    raise RunNotFound(
        f"Cannot show epoch {number} of the run {run_id}: it has {len(epochs)} so far; look at its "
        "page for those there are."
    )


def _image(store: Store, run_id: str, number: str, index: int) -> Image:
    run = store.run(run_id)
    if number.isdecimal() and len(number) < 10 and int(number) >= 1:
        for image in store.images(run.id, int(number) - 1):
            if image.index == index:
                return image
    raise RunNotFound(
        f"Cannot show image {index} of epoch {number} of the run {run_id}: it has none."
    )
