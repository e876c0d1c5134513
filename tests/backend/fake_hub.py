"""A model hub over HTTP that keeps what is pushed: the routes that the hub's client calls.

Binary files go by the LFS protocol, others inside the commit, as on the hub itself.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN = "hf_" + "a" * 34
OWNER = "ann"
FORBIDDEN = {"error": "You don't have the rights to create a model under this namespace"}


@dataclass
class Repository:
    """A model, with every commit's files."""

    private: bool = False
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{}])
    messages: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]

    @property
    def sha(self) -> str:
        return f"{len(self.commits):040x}"


class FakeHub:
    """The server; `faults` has what it answers instead, by a part of "METHOD path"."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.faults: dict[str, Callable[[Any], None]] = {}
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def answer(status: int, **body: Any) -> Callable[[Any], None]:
    """A fault: that status with that JSON."""
    return lambda handler: handler.give(status, body)


def not_shown(handler: Any) -> None:
    """A fault: what the hub says of a repository that the token may not see."""
    handler.give(401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})


def cut(handler: Any) -> None:
    """A fault: the connection ends within the answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"half":')
    handler.close_connection = True


def silence(handler: Any) -> None:
    """A fault: no answer for longer than a test waits."""
    threading.Event().wait(2)
    handler.close_connection = True


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def answer(self) -> None:
        path = unquote(self.path.partition("?")[0]).lstrip("/")
        said = f"{self.command} {path}"
        self.hub.asked.append(said)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for part, fault in self.hub.faults.items():
            if part in said:
                return fault(self)
        if self.command == "PUT":
            self.hub.objects[path.rpartition("/")[2]] = self.body
            return self.give(200, {})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.give(401, {"error": "Invalid username or password."})
        if path == "api/whoami-v2":
            return self.give(200, {"type": "user", "name": OWNER, "orgs": []})
        if path == "api/validate-yaml":
            assert json.loads(self.body)["content"].startswith("---\n")
            return self.give(200, {"errors": [], "warnings": []})
        if path == "api/repos/create":
            return self.create(json.loads(self.body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.batch(json.loads(self.body))
        if "/resolve/" in path:
            return self.file(path)
        owner, name, *rest = path.removeprefix("api/models/").split("/")
        repository = self.hub.repositories.get(f"{owner}/{name}")
        if repository is None:
            return not_shown(self)
        return self.of_repository(f"{owner}/{name}", repository, rest)

    def create(self, wanted: dict[str, Any]) -> None:
        if wanted["organization"] != OWNER:
            return self.give(403, FORBIDDEN)
        known = f"{OWNER}/{wanted['name']}"
        there = {"url": f"{self.hub.address}/{known}"}
        if known in self.hub.repositories:
            return self.give(409, {"error": "You already created this model repo", **there})
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.hub.repositories[known] = Repository(private)
        return self.give(200, there)

    def batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            {
                **each,
                "actions": {"upload": {"href": f"{self.hub.address}/lfs/{each['oid']}"}},
            }
            for each in wanted["objects"]
        ]
        self.give(200, {"transfer": "basic", "objects": objects})

    def of_repository(self, name: str, repository: Repository, rest: list[str]) -> None:
        if rest[:1] == ["preupload"]:
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "regular" if each["path"].endswith(".md") else "lfs",
                    "shouldIgnore": False,
                }
                for each in json.loads(self.body)["files"]
            ]
            return self.give(200, {"files": files})
        if rest[:1] == ["commit"]:
            return self.commit(name, repository)
        if rest[:1] == ["tree"]:
            files = [
                {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
                for path, content in repository.files.items()
            ]
            return self.give(200, files)
        siblings = [{"rfilename": path} for path in repository.files]
        return self.give(200, {"id": name, "sha": repository.sha, "siblings": siblings})

    def commit(self, name: str, repository: Repository) -> None:
        files = dict(repository.files)
        for line in self.body.splitlines():
            said = json.loads(line)
            value = said["value"]
            if said["key"] == "header":
                repository.messages.append(value["summary"])
            elif said["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                content = self.hub.objects[value["oid"]]
                assert hashlib.sha256(content).hexdigest() == value["oid"]
                files[value["path"]] = content
        repository.commits.append(files)
        url = f"{self.hub.address}/{name}/commit/{repository.sha}"
        self.give(200, {"commitUrl": url, "commitOid": repository.sha})

    def file(self, path: str) -> None:
        name, _, rest = path.partition("/resolve/")
        repository = self.hub.repositories.get(name)
        if repository is None:
            return not_shown(self)
        content = repository.files.get(rest.partition("/")[2])
        if content is None:
            return self.give(404, {}, {"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": repository.sha}
        return self.give(200, content, headers)

    def give(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
