"""The pages' addresses: each reads the store and answers HTML or a picture."""

import logging
from collections.abc import Callable
from functools import partial

from flask import Blueprint, Response, make_response, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from backend import consensus, steering
from backend.dashboard import charts, comparison, labelling_page, links
from backend.dashboard.answers import HEADERS, missing, original, page, picture, protect, small
from backend.dashboard.commands import commands
from backend.dashboard.epochs import EpochFacts, Tile, read_epochs
from backend.dashboard.facts import read_run, read_samples
from backend.dashboard.overview import Wanted, read_overview
from backend.errors import HeroServiceError, NotAuthorized, RunNotFound
from backend.run.records import Image
from backend.settings import Settings
from backend.store import Store

logger = logging.getLogger(__name__)

NAME = "pages"
ASSETS = f"{NAME}.static"
"""The endpoint of what shows nothing of a run."""
MOST_BESIDE = 4
"""So many epochs stand beside each other."""


def pages(settings: Settings, store: Store) -> Blueprint:
    """The blueprint. Who may see it is the server's to check: all but `ASSETS` needs the cookie."""
    blueprint = Blueprint(NAME, __name__, static_folder="static", static_url_path="/runs-assets")
    blueprint.register_error_handler(NotAuthorized, partial(ask_who, settings))

    @blueprint.get("/runs")
    def all_runs() -> Response:
        wanted = Wanted(*(request.args.get(name, "") for name in ("q", "state", "method")))
        return page("runs.html", overview=read_overview(store, wanted))

    @blueprint.get("/runs/compare")
    def compared() -> Response:
        ids = [name for said in request.args.getlist("runs") for name in said.split(",") if name]
        found = comparison.compare([read_run(settings, store, name) for name in ids])
        return page("compare.html", compared=found, links_of=links.WebLinks)

    @blueprint.get("/runs/<run_id>")
    def one_run(run_id: str) -> AnyResponse:
        facts = read_run(settings, store, run_id)
        if facts.run.id != run_id:
            return redirect(f"/runs/{facts.run.id}")
        return page(
            "run.html",
            facts=facts,
            links=links.WebLinks(facts.run.id),
            success=charts.success(facts),
            learning=charts.learning(facts),
            acts=steering.possible(facts.run),
            commands=commands(facts.run),
        )

    @blueprint.get("/runs/<run_id>/label")
    def label(run_id: str) -> AnyResponse:
        me, done = (request.args.get(name, "") for name in ("me", "done"))
        now = labelling_page.read_labelling_page(settings, store, run_id, me, done)
        if now.run.id != run_id:
            return redirect(f"/runs/{now.run.id}/label")
        stream = labelling_page.stream(settings, now.run)
        web = links.WebLinks(now.run.id)
        answer = page("label.html", page=now, run=now.run, stream=stream, links=web)
        policy = HEADERS["Content-Security-Policy"]
        framed = labelling_page.origin(stream) if stream else "'none'"
        answer.headers["Content-Security-Policy"] = f"{policy}; frame-src {framed}"
        return answer

    @blueprint.get("/runs/<run_id>/label/pulse")
    def pulse(run_id: str) -> Response:
        answer = make_response(labelling_page.pulse(store, run_id))
        answer.mimetype = "text/plain"
        return answer

    @blueprint.get("/runs/<run_id>/epochs")
    def side_by_side(run_id: str) -> AnyResponse:
        facts = read_run(settings, store, run_id)
        if facts.run.id != run_id:
            return redirect(f"/runs/{facts.run.id}/epochs")
        drawn = [epoch for epoch in facts.epochs if epoch.tiles]
        asked = request.args.getlist("of")
        shown = [e for e in drawn if str(e.number) in asked] or [*drawn[:1], *drawn[1:][-1:]]
        web = links.WebLinks(facts.run.id)
        return page("epochs.html", facts=facts, drawn=drawn, shown=shown[:MOST_BESIDE], links=web)

    @blueprint.get("/runs/<run_id>/epochs/<number>")
    def one_epoch(run_id: str, number: str) -> AnyResponse:
        facts = read_run(settings, store, run_id)
        if facts.run.id != run_id:
            return redirect(f"/runs/{facts.run.id}/epochs/{number}")
        epoch = _epoch(facts.epochs, run_id, number)
        by_reward = request.args.get("order") == "reward"
        tiles = sorted(epoch.tiles, key=_worth) if by_reward else epoch.tiles
        show = request.args.get("show", "")
        return page(
            "epoch.html",
            facts=facts,
            epoch=epoch,
            tiles=[tile for tile in tiles if SHOWN.get(show, _any)(tile)],
            counts={name: sum(map(fits, epoch.tiles)) for name, fits in SHOWN.items()},
            links=links.WebLinks(facts.run.id),
            by_reward=by_reward,
            show=show if show in SHOWN else "",
        )

    @blueprint.get("/runs/<run_id>/epochs/<number>/mosaic")
    def mosaic(run_id: str, number: str) -> Response:
        epoch = _epoch(read_epochs(store, store.run(run_id)), run_id, number)
        return picture(links.mosaic(settings.images_dir, epoch))

    @blueprint.get("/runs/<run_id>/epochs/<number>/images/<int:index>")
    def image(run_id: str, number: str, index: int) -> Response:
        path = settings.images_dir / _image(store, run_id, number, index).path
        return original(path)

    @blueprint.get("/runs/<run_id>/epochs/<number>/thumbnails/<int:index>")
    def thumbnail(run_id: str, number: str, index: int) -> Response:
        return small(settings.images_dir / _image(store, run_id, number, index).path)

    @blueprint.get("/runs/<run_id>/samples/<int:epochs>/<int:index>")
    def sample(run_id: str, epochs: int, index: int) -> Response:
        rows = read_samples(settings, store.run(run_id))
        files = next((row.files for row in rows if row.epochs == epochs), ())
        if index >= len(files):
            return missing()
        return original(files[index]) if request.args.get("large") else small(files[index])

    blueprint.after_request(protect)

    @blueprint.errorhandler(HeroServiceError)
    def refused(error: HeroServiceError) -> Response:
        return page("error.html", status=error.http_status, message=str(error))

    @blueprint.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return page("error.html", status=error.code or 500, message=error.description)

    @blueprint.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        logger.exception("%s failed", request.path)
        return page("error.html", status=500, message="The backend failed; its log says why.")

    return blueprint


def ask_who(settings: Settings, error: HeroServiceError) -> Response:
    """The page on which people say who they are."""
    has_password = bool(settings.pages_password.get_secret_value())
    status = error.http_status
    answer = page("login.html", status=status, message=str(error), has_password=has_password)
    answer.headers["Cache-Control"] = "no-store"
    return protect(answer)


def _any(tile: Tile) -> bool:
    return True


SHOWN: dict[str, Callable[[Tile], bool]] = {
    "good": lambda tile: tile.verdict in (consensus.GOOD, consensus.BEST),
    "bad": lambda tile: tile.verdict == consensus.BAD,
    "split": lambda tile: tile.disputed,
    "unjudged": lambda tile: tile.verdict is None,
}
"""What of an epoch's images can be shown alone, by its name in the address."""


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
