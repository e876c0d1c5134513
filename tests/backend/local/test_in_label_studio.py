"""What a Label Studio that HERO starts runs besides its own; its browser tests are in tests/e2e."""

import importlib
import json
from types import ModuleType

import pytest

from backend.local.label_studio_server import IN_LABEL_STUDIO

django = pytest.importorskip("django.http")
conf = pytest.importorskip("django.conf")

PAGE = {"conjunction": "and", "items": []}
NONE = {"all": False, "included": []}


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    if not conf.settings.configured:
        conf.settings.configure()
    monkeypatch.syspath_prepend(IN_LABEL_STUDIO)


@pytest.fixture
def queue(inside: None) -> ModuleType:
    return importlib.import_module("hero_queue")


@pytest.fixture
def scripts(inside: None) -> ModuleType:
    return importlib.import_module("hero_scripts")


def test_a_question_with_nothing_in_it_asks_for_any_task(queue: ModuleType):
    asked = {"ordering": [], "selectedItems": NONE, "filters": PAGE, "project": "7"}
    assert json.loads(queue.without_what_is_empty(json.dumps(asked).encode())) == {"project": "7"}


@pytest.mark.parametrize(
    "said",
    [
        {"ordering": ["-tasks:id"]},
        {"filters": {"conjunction": "and", "items": [{"filter": "filter:tasks:id"}]}},
        {"selectedItems": {"all": True, "excluded": []}},
        {"selectedItems": {"all": False, "included": [3]}},
    ],
)
def test_what_a_tab_asks_for_stays(queue: ModuleType, said: dict):
    asked = {"ordering": [], "selectedItems": NONE, "filters": PAGE, "project": "7"} | said
    body = json.dumps(asked).encode()
    assert queue.without_what_is_empty(body) == body


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"null", b'{"filters": 3}', b"\xff"])
def test_what_is_no_question_is_label_studios_to_refuse(queue: ModuleType, body: bytes):
    assert queue.without_what_is_empty(body) == body


@pytest.mark.parametrize("path", ["/api/dm/actions", "/api/dm/actions/", "/ls/api/dm/actions/"])
def test_it_is_the_question_of_every_version_and_below_every_path(queue: ModuleType, path: str):
    asked = {"ordering": [], "selectedItems": NONE, "filters": PAGE, "project": "7"}
    request = django.HttpRequest()
    request.path, request.method, request.content_type = path, "POST", "application/json"
    request.GET = {"id": "next_task", "project": "7"}
    request._body = json.dumps(asked).encode()
    assert json.loads(queue.NextTask(lambda heard: heard.body)(request)) == {"project": "7"}
    request.GET = {"id": "delete_tasks", "project": "7"}
    request._body = json.dumps(asked).encode()
    assert json.loads(queue.NextTask(lambda heard: heard.body)(request)) == asked


def answered(scripts: ModuleType, content: bytes, kind: str):
    response, request = django.HttpResponse(content, content_type=kind), django.HttpRequest()
    request.csp_nonce = "n0nce"
    return scripts.Scripts(lambda _: response)(request)


def test_each_page_carries_the_scripts(scripts: ModuleType):
    page = answered(scripts, b"<html><body>Projects</body></html>", "text/html; charset=utf-8")
    text = page.content.decode()
    assert text.startswith('<html><body>Projects<script nonce="n0nce">')
    assert "hero-ranges" in text and "hero: no task" in text
    assert text.endswith("</script></body></html>")


def test_other_answers_stay_as_they_are(scripts: ModuleType):
    body = b'{"of": "</body>"}'
    assert answered(scripts, body, "application/json").content == body
