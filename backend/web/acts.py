"""What can be done on the run pages: runs started and steered, and what they made taken away.

For those whom `hero link` let in, and from the pages alone: whatever changes something is JSON with
the token of the page (docs/security.md).
"""

import logging
import mimetypes
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, request, send_file
from werkzeug.exceptions import HTTPException

from backend import dashboard, engine, exports, steering
from backend.dashboard import access, links
from backend.dashboard.answers import may_steer, missing, original, page, protect, small
from backend.dashboard.facts import read_run
from backend.errors import (
    BadInput,
    ForeignPage,
    HeroServiceError,
    NotAllowed,
    NotAuthorized,
    RunNotFound,
)
from backend.exports.jobs import BY_WORKER, made_in
from backend.run.states import ENDED
from backend.settings import Settings
from backend.starting.offers import offers
from backend.store import Store
from backend.web import start_form
from backend.web.body import read_json

logger = logging.getLogger(__name__)

NAME = "acts"
SAFE = ("GET", "HEAD", "OPTIONS")
MOST_IMAGES = 16
MOST_EPOCHS = 100
LONGEST_PROMPT = 2000
LARGEST_SEED = 2**31 - 1
PARTS = ("before", "after")


def acts(settings: Settings, store: Store) -> Blueprint:
    """The blueprint. The server lets in whoever has a cookie; what it allows is checked here."""
    blueprint = Blueprint(NAME, __name__)

    @blueprint.before_request
    def allow() -> None:
        if not may_steer():
            raise NotAllowed(
                "Whoever came by a link to label, or by the password, may look and label. To do "
                "more, open a link that `hero link` prints on the machine where HERO runs."
            )
        if request.method not in SAFE:
            _refuse_forgeries(settings)

    @blueprint.get("/runs/new")
    def new_run() -> Response:
        return page(
            "new.html",
            offers=offers(settings, store),
            methods=engine.methods(),
            presets={name: each["prompt"] for name, each in engine.presets().items()},
        )

    @blueprint.post("/runs/new")
    def start() -> Response:
        return jsonify(start_form.start(settings, store, read_json(request)))

    @blueprint.post("/runs/<run_id>/acts/<name>")
    def act(run_id: str, name: str) -> Response:
        body = read_json(request)
        run = store.run(run_id)
        wanted = next((each for each in steering.ACTS if each.event == name), None)
        if wanted is None:
            raise RunNotFound(f"Cannot {name} a run: there is no such act.")
        epochs = _number(body, "epochs", 1, MOST_EPOCHS, usual=1)
        return jsonify(said=steering.let(settings, store, run, wanted, epochs=epochs))

    @blueprint.get("/runs/<run_id>/results")
    def results(run_id: str) -> Response:
        facts = read_run(settings, store, run_id)
        jobs = store.jobs(facts.run.id)
        return page(
            "results.html",
            facts=facts,
            links=links.WebLinks(facts.run.id),
            kinds=exports.KINDS,
            by_worker=BY_WORKER,
            drawings=[job for job in jobs if job.kind == "images"],
            made={
                (job.options["what"], job.options["format"]): job
                for job in reversed(jobs)
                if job.kind == "export"
            },
            busy=any(job.is_open for job in jobs) or facts.run.state not in ENDED,
        )

    @blueprint.post("/runs/<run_id>/jobs")
    def ask(run_id: str) -> Response:
        body = read_json(request)
        run = store.run(run_id)
        if run.epoch == 0:
            raise BadInput(
                f"Cannot make this of the run {run.id}: it has not learned from any epoch yet; "
                "label the first one."
            )
        if body.get("kind") == "images":
            options = {
                "prompt": _prompt(body),
                "n": _number(body, "n", 1, MOST_IMAGES, usual=4),
                "seed": _number(body, "seed", 0, LARGEST_SEED, usual=0),
                "epoch": run.epoch,
            }
            job = store.ask(run.id, "images", options)
            return jsonify(said="A worker draws them between the steps of the runs.", job=job.id)
        what = str(body.get("what"))
        format = exports.choose_format(what, body.get("format"), None)
        if what not in BY_WORKER:
            raise BadInput(f"The {what} need no worker: open the link to them.")
        options = {"what": what, "format": format, "epoch": run.epoch}
        job = store.ask(run.id, "export", options)
        return jsonify(said="A worker makes it between the steps of the runs.", job=job.id)

    @blueprint.get("/runs/<run_id>/jobs/<int:number>/<part>/<int:index>")
    def drawn(run_id: str, number: int, part: str, index: int) -> Response:
        job = store.job(store.run(run_id).id, number)
        if part not in PARTS or job.kind != "images":
            return missing()
        file = made_in(settings, job) / part / f"{index:04d}.png"
        return small(file) if request.args.get("small") else original(file)

    @blueprint.get("/runs/<run_id>/jobs/<int:number>/file")
    def take_job(run_id: str, number: int) -> Response:
        job = store.job(store.run(run_id).id, number)
        file = made_in(settings, job)
        if job.state != "done" or not file.exists():
            raise RunNotFound("Cannot give this out: it is not made yet, or its file is gone.")
        return _sent(file)

    @blueprint.get("/runs/<run_id>/exports/<what>.<format>")
    def take(run_id: str, what: str, format: str) -> Response:
        run = store.run(run_id)
        exports.choose_format(what, format, None)
        if what in BY_WORKER:
            raise BadInput(f"The {what} is made by a worker: ask for it on the run's page.")
        if exports.KINDS[what].fetched and (reason := exports.fetch(settings, store, run)):
            logger.warning("what was fetched before is exported: %s", reason)
        folder = Path(tempfile.mkdtemp(prefix="export-", dir=_exports_folder(settings)))

        try:
            name = f"{run.id}-{what}"
            is_folder = format in exports.KINDS[what].folder
            target = folder / (f"{name}-{format}" if is_folder else f"{name}.{format}")
            return _sent(exports.export(settings, store, run, what, format, target))
        finally:  # what is sent is open already
            shutil.rmtree(folder, ignore_errors=True)

    blueprint.after_request(protect)

    @blueprint.errorhandler(HeroServiceError)
    def refused(error: HeroServiceError) -> Response | tuple[Response, int]:
        logger.warning("%s %s: %s", request.method, request.path, error)
        if request.method in SAFE and isinstance(error, NotAuthorized):
            return dashboard.ask_who(settings, error)
        if request.method in SAFE:
            return page("error.html", status=error.http_status, message=str(error))
        return jsonify(error=str(error), type=type(error).__name__), error.http_status

    @blueprint.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response | tuple[Response, int]:
        if request.method in SAFE:
            return page("error.html", status=error.code or 500, message=error.description)
        return jsonify(error=error.description, type=error.name), error.code or 500

    return blueprint


def _refuse_forgeries(settings: Settings) -> None:
    """A page of ours sends its own address, where the browser says it, and its token."""
    origin = request.headers.get("Origin")
    ours = (request.host, urlsplit(settings.pages_base_url).netloc)
    if origin is not None and urlsplit(origin).netloc not in ours:
        raise ForeignPage(f"Refused {request.path}: a page of {origin} sent it.")
    cookie = request.cookies.get(access.COOKIE)
    if not access.token_fits(settings, cookie, request.headers.get(access.TOKEN_HEADER)):
        raise ForeignPage(
            "Refused: it does not carry the token of a page that you opened; reload the page, and "
            "try again."
        )


def _number(body: dict[str, Any], name: str, least: int, most: int, *, usual: int) -> int:
    value = body.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadInput(f"{name} is {value!r}; say a whole number from {least} to {most}.")
    return value


def _prompt(body: dict[str, Any]) -> str | None:
    """What is to be drawn; None for the run's own prompt."""
    prompt = body.get("prompt")
    if prompt is None or (isinstance(prompt, str) and not prompt.strip()):
        return None
    if not isinstance(prompt, str) or len(prompt) > LONGEST_PROMPT:
        raise BadInput(f"The prompt is no text of at most {LONGEST_PROMPT} characters.")
    return prompt.strip()


def _exports_folder(settings: Settings) -> Path:
    folder = settings.home / "downloads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _sent(made: Path) -> Response:
    """A file to keep; a folder as one zip file."""
    if made.is_dir():
        made = Path(shutil.make_archive(str(made), "zip", made.parent, made.name))
    kind = mimetypes.guess_type(made.name)[0] or "application/octet-stream"
    answer = send_file(made, mimetype=kind, as_attachment=True, download_name=made.name)
    answer.headers["Cache-Control"] = "no-store"
    return answer
