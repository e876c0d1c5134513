"""Whatever is sent to whichever route, with the right secrets or without: never a 500."""

import itertools
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies
from pydantic import SecretStr
from werkzeug.test import Client

from backend.dashboard.access import COOKIE, new_cookie
from backend.settings import Settings
from backend.store import Store
from backend.tasks.images import image_url
from backend.tasks.label_config import template
from backend.web.app import create_app
from tests.backend.conftest import Clock
from tests.backend.made_runs import MadeRun
from tests.backend.web.knocking import JSON, SECRET, basic

EXAMPLES = 300
"""Requests; the slow test sends 10,000."""


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[Store]:
    store = Store.connect(database_url, clock)
    yield store
    store.close()


@pytest.fixture
def app(settings: Settings, store: Store) -> Iterator[tuple[Flask, Settings, MadeRun]]:
    signed = settings.model_copy(
        update={"image_store": "signed-urls", "pages_password": SecretStr("a password")}
    )
    made = MadeRun(signed, store, annotators_per_image=2)
    made.go_round("tg", "gb", "bb", "b-")
    yield create_app(signed, store), signed, made


numbers = strategies.integers() | strategies.sampled_from(
    [0, 1, 7, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400]
)
texts = strategies.text(max_size=20) | strategies.sampled_from(
    ["²", "٣", "7.1", "1" * 30, "1" * 5000, "\0", "\ud800", "../env", "latest", "%", "_", "-1", ""]
)
leaves = strategies.none() | strategies.booleans() | strategies.floats() | numbers | texts
anything = strategies.recursive(
    leaves,
    lambda inner: (
        strategies.lists(inner, max_size=4) | strategies.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=8,
)
actions = strategies.sampled_from(
    ["ANNOTATION_CREATED", "ANNOTATIONS_DELETED", "START_TRAINING", "PROJECT_UPDATED"]
)


def bodies(made: MadeRun):
    """Almost what Label Studio sends: any part may be anything."""
    project = strategies.just({"id": made.run.project_id}) | anything
    keys = strategies.sampled_from([f"{made.id}/0/0000", f"{made.id}/0/gallery", "x/1/²"]) | texts
    data = strategies.fixed_dictionaries({"hero_image_id": keys}) | anything
    tasks = strategies.lists(strategies.fixed_dictionaries({"data": data}) | anything, max_size=3)
    return strategies.fixed_dictionaries(
        {},
        optional={
            "action": actions | anything,
            "project": project | strategies.just(f"{made.run.project_id}.17") | anything,
            "task": strategies.fixed_dictionaries({"id": anything}) | anything,
            "annotation": strategies.fixed_dictionaries({"id": anything}) | anything,
            "annotations": strategies.lists(anything, max_size=3) | anything,
            "tasks": tasks | anything,
            "schema": strategies.just(template()) | anything,
            "label_config": strategies.sampled_from([template(), template("gallery"), "<a"])
            | anything,
            "params": anything,
            "password": anything,
        },
    )


def raw(body: object) -> bytes:
    try:
        return json.dumps(body).encode()
    except ValueError:  # lone surrogates as keys and the like
        return b"{}"


PARTS = {
    "number": "1",
    "epochs": "1",
    "index": "0",
    "path": "x.png",
    "filename": "live.js",
    "name": "pause",
    "part": "before",
    "what": "annotations",
    "format": "csv",
}
"""Of routes."""
_PART = re.compile(r"<(?:[^:>]*:)?(\w+)>")


def addresses(flask: Flask, parts: dict[str, str]) -> tuple[list[str], list[str]]:
    """The address of each route, and those with a hole in place of one of their parts."""
    whole, holes = [], []
    for rule in flask.url_map.iter_rules():
        whole.append(_PART.sub(lambda part: parts[part[1]], rule.rule))
        for name in _PART.findall(rule.rule):
            holes.append(_PART.sub(lambda part: {**parts, name: "{}"}[part[1]], rule.rule))  # noqa: B023
    return whole, holes


def knock(app: tuple[Flask, Settings, MadeRun], count: int) -> list[int]:
    """So many requests; the answers' statuses."""
    flask, its, made = app
    client = Client(flask)
    image = image_url(its, f"{made.id}/0000/0000.png").removeprefix(its.backend_url)
    run = f"/runs/{made.id}"
    whole, open_ones = addresses(flask, {**PARTS, "run_id": made.id})
    paths = strategies.sampled_from([*whole, image])
    odd = strategies.builds(
        lambda pattern, piece: pattern.replace("{}", quote(piece, safe="", errors="replace")),
        strategies.sampled_from(
            [
                *open_ones,
                "/{}",
                f"{image}{{}}",
                "/images/x.png?signature={}",
                "/images/x.png?expires={}",
                "/images/x.png?expires={}&signature={}",
                "/login?token={}",
                f"{run}/epochs/1?order={{}}",
            ]
        ),
        texts,
    )
    cookie = {"Cookie": f"{COOKIE}={new_cookie(its)}"}
    marks = strategies.text(strategies.characters(max_codepoint=255, exclude_categories=["Cc"]))
    shown = strategies.sampled_from([{}, SECRET, basic(), cookie, {**cookie, **basic(), **SECRET}])
    strange = strategies.dictionaries(
        strategies.sampled_from(
            [
                "Authorization",
                "X-Hero-Secret",
                "Cookie",
                "Host",
                "Accept",
                "If-None-Match",
                "If-Modified-Since",
                "Range",
                "Sec-Fetch-Site",
                "X-Forwarded-For",
            ]
        ),
        marks,
        max_size=2,
    )
    deep = strategies.sampled_from(
        [
            b"[" * 100_000,
            b'{"a":' * 5000 + b"1" + b"}" * 5000,
            b"\xff\xfe",
            b"",
            b"null",
            b'{"project": ' + b"9" * 6000 + b"}",
            b'{"action": NaN}',
            b"{" * 10,
            b'{"a": 1e999}',
            b'{"action": "ANNOTATIONS_DELETED", "project": {"id": 7}, "annotations": ['
            + b",".join(b'{"id": 1}' for _ in range(300_000))
            + b"]}",
        ]
    )
    statuses = []

    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        strategies.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"]),
        paths | odd,
        shown,
        strange,
        strategies.sampled_from([JSON, JSON, JSON, "text/plain", ""]),
        strategies.builds(raw, bodies(made)) | strategies.builds(raw, anything) | deep,
    )
    def send(method, path, shown, strange, kind, body) -> None:
        headers = {**shown, **strange}
        address = {"REMOTE_ADDR": f"10.{len(statuses) >> 8 & 255}.{len(statuses) & 255}.1"}
        content = {} if method in ("GET", "HEAD") else {"data": body, "content_type": kind}
        try:
            answer = client.open(
                path, method=method, headers=headers, environ_base=address, **content
            )
        except UnicodeError:  # no such request can be sent
            return
        assert answer.status_code < 500, (method, path, headers, body[:200], answer.text)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        statuses.append(answer.status_code)

    send()
    return statuses


def test_no_request_breaks_it(app):
    assert {200, 401} <= set(knock(app, EXAMPLES))


@pytest.mark.slow
def test_ten_thousand_requests(app):
    statuses = set(itertools.chain.from_iterable(knock(app, 2000) for _ in range(5)))
    assert {200, 400, 401, 404, 415} <= statuses
