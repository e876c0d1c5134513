"""Models on the hub, tried against a local stand-in of its API."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import huggingface_hub.constants
import pytest
import torch
from diffusers import StableDiffusionPipeline

from hero_engine.errors import ModelNotFound
from hero_engine.methods.check_run import check_run
from hero_engine.models.policy import Policy
from tests.hub_address import use

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "somebody/roses"


class Hub:
    """One model, in a folder, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.gated = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.answer()

            def do_GET(self):
                self.answer()

            def answer(self):
                path = unquote(self.path.partition("?")[0]).lstrip("/")
                hub.asked.append(f"{self.command} {path}")
                if path.startswith(f"api/models/{MODEL}/tree/"):
                    return self.give(200, json.dumps(hub.tree()).encode())
                if path.startswith(f"api/models/{MODEL}"):
                    revision = path.partition("/revision/")[2]
                    if revision not in ("", "main", "v1", COMMIT):
                        return self.give(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                    return self.give(200, json.dumps(hub.described()).encode())
                model, _, rest = path.partition("/resolve/")
                file = hub.folder / rest.partition("/")[2]
                if model != MODEL:
                    return self.give(401, b"{}", {"X-Error-Code": "RepoNotFound"})
                if hub.gated:
                    return self.give(403, b"{}", {"X-Error-Code": "GatedRepo"})
                if not file.is_file():
                    return self.give(404, b"", {"X-Error-Code": "EntryNotFound"})
                content = file.read_bytes()
                etag = hashlib.sha1(content).hexdigest()
                return self.give(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

            def give(self, status, content, headers=None):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def described(self):
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        siblings = [
            {"rfilename": path.relative_to(self.folder).as_posix(), "size": path.stat().st_size}
            for path in files
        ]
        return {"id": MODEL, "modelId": MODEL, "sha": COMMIT, "siblings": siblings}

    def tree(self):
        return [
            {"type": "file", "path": each["rfilename"], "size": each["size"], "oid": "0" * 40}
            for each in self.described()["siblings"]
        ]

    def fetched(self):
        files = (each.partition("/resolve/")[2] for each in self.asked if "GET" in each)
        return {each.partition("/")[2] for each in files}


@pytest.fixture
def hub(tmp_path, pipeline, monkeypatch):
    folder = tmp_path / "hub"
    pipe = StableDiffusionPipeline.from_pretrained(pipeline)
    pipe.save_pretrained(folder)
    pipe.save_pretrained(folder, safe_serialization=False)
    pipe.to(dtype=torch.float16).save_pretrained(folder, variant="fp16")
    (folder / "roses-all-in-one.safetensors").write_bytes(b"0" * 1000)
    (folder / "README.md").write_text("Roses")
    hub = Hub(folder)
    use(monkeypatch, hub.address, tmp_path / "cache")
    yield hub
    hub.server.shutdown()


def test_what_is_downloaded_and_when(hub, make_config, capfd):
    config = make_config(model=MODEL)
    (note,) = check_run(config)
    assert f"{MODEL} is not on this machine yet: 0.0 GB are downloaded before" in note
    assert capfd.readouterr().err == ""
    before = hub.fetched()
    assert "unet/config.json" in before
    assert not any(name.endswith((".safetensors", ".bin")) for name in before)

    policy = Policy(config)
    assert policy.latent_shape == (4, 8, 8)
    weights = {n for n in hub.fetched() if n.endswith((".safetensors", ".bin"))}
    assert weights == {
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
    }
    hub.asked.clear()
    assert check_run(config) == []
    Policy(config)
    assert hub.asked == [], hub.asked


def test_a_revision_is_kept_to(hub, make_config):
    Policy(make_config(model=MODEL, revision="v1"))
    assert any("/resolve/" in each for each in hub.asked)
    with pytest.raises(ModelNotFound, match="has no revision 'v2'"):
        check_run(make_config(model=MODEL, revision="v2"))


def test_a_model_behind_a_licence(hub, make_config):
    hub.gated = True
    with pytest.raises(ModelNotFound, match="behind a licence; accept it on the model's page"):
        check_run(make_config(model=MODEL))


def test_a_model_that_is_not_there(hub, make_config):
    with pytest.raises(ModelNotFound, match="neither a folder nor a model on the hub"):
        check_run(make_config(model="somebody/else"))


def test_a_model_without_weights(hub, make_config):
    for weights in (hub.folder / "vae").glob("*model*"):
        weights.unlink()
    with pytest.raises(ModelNotFound, match="it has no weights in vae/"):
        check_run(make_config(model=MODEL))


def test_a_hub_that_cannot_be_reached(tmp_path, monkeypatch, make_config, capfd):
    use(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")
    started = time.perf_counter()
    with pytest.raises(ModelNotFound, match=r"could not be fetched from http://127.0.0.1:9 .*;"):
        check_run(make_config(model=MODEL))
    assert time.perf_counter() - started < 8
    assert capfd.readouterr().err == ""


def test_the_client_told_to_stay_offline(tmp_path, monkeypatch, make_config):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFound, match=r"could not be fetched from .*; check the name"):
        check_run(make_config(model="nobody/no-such-model"))
