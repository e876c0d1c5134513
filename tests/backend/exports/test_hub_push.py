"""A LoRA on its way to the hub: a stand-in of the hub over HTTP, and what can go wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from huggingface_hub import ModelCard, constants, hf_hub_download, snapshot_download
from safetensors.torch import save_file
from typer.testing import CliRunner

from backend import cli
from backend.engine_files import row_folder
from backend.errors import BadInput, PushFailed
from backend.exports import hub_push
from backend.exports.base_model import describe_base
from backend.exports.target import MARK
from tests.backend.fake_hub import TOKEN, FakeHub, Repository, answer, cut, not_shown, silence
from tests.backend.learned import learned
from tests.hub_address import use

NAME = "ann/roses"
ALL = {"README.md", "after.png", "rose-lora.safetensors"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = FakeHub()
    use(monkeypatch, hub.address, tmp_path / "cache")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    yield hub
    hub.close()


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "rose-lora-hf"
    folder.mkdir()
    (folder / "README.md").write_text(f"---\nlibrary_name: diffusers\n---\n# Rose\n{MARK}\n")
    (folder / "after.png").write_bytes(b"\x89PNG" + bytes(1000))
    save_file({"lora": torch.ones(4)}, folder / "rose-lora.safetensors")
    return folder


def push(folder: Path, name: str = NAME, **options) -> str:
    return hub_push.push(folder, name, message="a rose", **{"private": False, **options})


def test_one_commit_has_all_of_it(hub, folder, capfd):
    hub_push.check(NAME, force=False)
    url = push(folder)
    there = hub.repositories[NAME]
    assert there.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(there.files) == ALL
    assert (len(there.commits), there.messages, there.private) == (2, ["a rose"], False)
    assert url == f"{hub.address}/{NAME}/commit/{there.sha}"
    assert capfd.readouterr() == ("", "")


def test_a_second_push_is_a_second_commit_and_deletes_nothing(hub, folder):
    push(folder)
    (folder / "rose-lora.safetensors").rename(folder / "tulip-lora.safetensors")
    (folder / "README.md").write_text(f"---\na: b\n---\n# Tulip\n{MARK}\n")
    hub_push.check(NAME, force=False)
    push(folder)
    there = hub.repositories[NAME]
    assert len(there.commits) == 3
    assert set(there.files) == ALL | {"tulip-lora.safetensors"}
    assert b"Tulip" in there.files["README.md"]


def test_private_is_of_a_new_repository_only(hub, folder):
    push(folder, private=True)
    push(folder)
    assert hub.repositories[NAME].private


def test_somebodys_own_card_is_not_replaced_unasked(hub, folder):
    push(folder)
    hub.repositories[NAME].commits.append({"README.md": b"My own words"})
    with pytest.raises(BadInput, match=r"a model card that `hero export` did not make.*--force"):
        hub_push.check(NAME, force=False)
    hub_push.check(NAME, force=True)


@pytest.mark.parametrize(
    "name",
    ["", "roses", "ann/", "/roses", "a/b/c", "ann/ro ses", "ann/-x", "ann/" + "b" * 97],
)
def test_an_impossible_name_is_refused_before_anything_is_asked(hub, name):
    with pytest.raises(BadInput, match=r"Cannot push to .*say --push OWNER/NAME"):
        hub_push.check(name, force=False)
    assert hub.asked == []


def test_without_a_token(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(BadInput, match="no token for the hub; make a token that may write"):
        hub_push.check(NAME, force=False)
    assert hub.asked == []


def test_offline_mode(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match="HF_HUB_OFFLINE says to use no network"):
        hub_push.check(NAME, force=False)
    assert hub.asked == []


def test_a_refused_token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "b" * 34)
    with pytest.raises(
        PushFailed, match=r"the hub does not take the token; .*hf auth login"
    ) as said:
        hub_push.check(NAME, force=False)
    assert "b" * 10 not in str(said.value)


def test_somebody_elses_name(hub, folder):
    with pytest.raises(PushFailed, match=r"may not write there; choose a name of your own.*rights"):
        push(folder, "ben/roses")
    assert hub.repositories == {}


def test_nothing_answers(hub, folder, capfd):
    hub.close()
    for attempt in (lambda: hub_push.check(NAME, force=False), lambda: push(folder)):
        with pytest.raises(PushFailed, match=r"http://\S+ cannot be reached \(.*check the network"):
            attempt()
    assert capfd.readouterr() == ("", "")


FAULTS = {
    "no right": ("/commit/", answer(403, error="Read-only token"), "may not write.*Read-only"),
    "gone": ("/preupload/", not_shown, "may not write there"),
    "conflict": (
        "/commit/",
        answer(409, error="busy"),
        r"changed it at the same moment.*409: busy",
    ),
    "trouble": (
        "POST api/repos/create",
        answer(500),
        r"the hub is in trouble; .*\(it answered 500",
    ),
    "trouble within": ("/preupload/", answer(503), "the hub is in trouble; push again later"),
    "too many": ("api/repos/create", answer(429), "takes no more requests from you for now"),
    "too large": ("/objects/batch", answer(413, error="Too big"), "larger than the hub.*Too big"),
    "full": (
        "/objects/batch",
        answer(
            200,
            objects=[
                {"oid": "0", "size": 1, "error": {"code": 422, "message": "Quota is used up"}}
            ],
        ),
        r"does not take the files \(.*Quota is used up",
    ),
    "no upload": ("PUT lfs/", answer(400, error="no"), r"the hub refuses it \(it answered 400"),
    "bad card": (
        "validate-yaml",
        answer(400, errors=[{"message": '"license" must be one of'}], warnings=[]),
        r'does not take the files \(.*"license" must be one of',
    ),
    "cut": ("/preupload/", cut, "cannot be reached"),
    "cut commit": ("/commit/", cut, "cannot be reached"),
    "no hub": ("/commit/", lambda handler: handler.give(200, b"<html>"), "no hub.*HF_ENDPOINT"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_is_one_sentence_and_nothing_is_added(hub, folder, fault, capfd):
    part, broken, words = FAULTS[fault]
    hub.faults[part] = broken
    with pytest.raises(PushFailed, match=words) as said:
        push(folder)
    assert str(said.value).startswith(f"Cannot push to {NAME}: ")
    assert "\n" not in str(said.value)
    assert all(len(each.commits) == 1 for each in hub.repositories.values())
    assert capfd.readouterr() == ("", "")
    hub.faults.clear()
    push(folder)
    assert set(hub.repositories[NAME].files) == ALL


def test_a_hub_that_says_nothing_is_not_waited_for_for_ever(hub, folder, monkeypatch):
    monkeypatch.setattr(hub_push, "SECONDS_OF_SILENCE", 0.2)
    hub.faults["/commit/"] = silence
    with pytest.raises(PushFailed, match=r"cannot be reached.*timed out"):
        push(folder)


def test_the_licence_of_a_base_model_on_the_hub_is_asked_for(hub):
    card = b"---\nlicense: other\nlicense_name: roses-1\nlicense_link: LICENSE.md\n---\n"
    hub.repositories["ben/base"] = Repository(commits=[{"README.md": card}])
    assert describe_base({"model": "ben/base"}, online=False).licence_text == ""
    assert not any("ben/base" in each for each in hub.asked)
    base = describe_base({"model": "ben/base"}, online=True)
    link = "https://huggingface.co/ben/base/blob/main/LICENSE.md"
    assert base.licence_text == f"[roses-1]({link})"
    assert base.licence["license_link"] == link
    assert describe_base({"model": "ben/gone"}, online=True).licence_text == ""


def test_push_sends_the_lora_and_nothing_else():
    for options in (["--what", "noise"], ["--format", "safetensors"]):
        said = CliRunner().invoke(cli.app, ["export", "rose", *options, "--push", NAME])
        assert (said.exit_code, "leave --what and --format out" in said.stderr) == (2, True)
    said = CliRunner().invoke(cli.app, ["export", "rose", "--private"])
    assert (said.exit_code, "say --push OWNER/NAME too" in said.stderr) == (2, True)


@pytest.mark.slow
def test_the_command_from_a_run_to_diffusers_on_another_machine(
    hub, settings, store, tmp_path, monkeypatch
):
    from PIL import Image

    from tests.hero_engine.tiny import save_pipeline

    pipeline = save_pipeline(tmp_path / "random")
    (pipeline / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\n")
    run = learned(settings, store, pipeline, ["good", "bad", "best", "good"], 2)
    for epoch in (0, 1):
        rows = row_folder(settings, run.id, epoch)
        rows.mkdir(parents=True)
        for index in range(4):
            Image.new("RGB", (128, 128), (90 * epoch, 40 * index, 0)).save(
                rows / f"{index:04d}.png"
            )

    monkeypatch.setenv("HERO_HOME", str(settings.home))
    command = ["export", run.id, "--push", NAME]
    monkeypatch.setenv("HF_TOKEN", "hf_no")
    refused = CliRunner().invoke(cli.app, command)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: Cannot push to ann/roses: the hub does not take")
    assert not (settings.run_dir(run.id) / "exports").exists()

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    # a process of its own, so that the client reads the environment
    said = subprocess.run(
        [sys.executable, "-c", "from backend.cli import app; app()", *command, "--private"],
        env={**os.environ, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    there = hub.repositories[NAME]
    assert f"Pushed it: {hub.address}/{NAME}/commit/{there.sha}" in said.stdout
    lora = f"{run.id}-lora.safetensors"
    assert set(there.files) == {"README.md", "before.png", "after.png", lora}
    assert (there.private, there.messages) == (True, [f"{run.id}, 1 of 2 epochs"])
    again = CliRunner().invoke(cli.app, command)
    assert again.exit_code == 0, again.stderr
    assert len(there.commits) == 3

    folder = Path(snapshot_download(NAME, token=TOKEN))
    assert {path.name for path in folder.iterdir()} == set(there.files)
    assert Path(hf_hub_download(NAME, lora, token=TOKEN)).read_bytes() == there.files[lora]
    # Nothing there says where things lie on this machine, or who it is.
    assert not [name for name, content in there.files.items() if str(tmp_path).encode() in content]
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "creativeml-openrail-m"
    assert card.data.instance_prompt == run.prompt
    with Image.open(folder / "before.png") as before:
        assert before.width > 4 * 128 > 2 * before.height

    [code] = re.findall(r"```python\n(.*?)```", card.text, re.S)
    assert f"pipe.load_lora_weights({NAME!r}, weight_name={lora!r})" in code
    code = code.replace("/path/to/random", str(pipeline))
    drawn = code.replace(
        "num_inference_steps", "generator=torch.manual_seed(0), num_inference_steps"
    )
    with_lora, without = {"torch": torch}, {"torch": torch}
    exec(drawn, with_lora)
    assert with_lora["pipe"].get_active_adapters() == ["default_0"]
    exec(re.sub("pipe.load_lora_weights.*", "", drawn), without)
    assert with_lora["image"].tobytes() != without["image"].tobytes()
    local = DiffusionPipeline.from_pretrained(pipeline)
    local.load_lora_weights(settings.run_dir(run.id) / "exports" / f"{run.id}-lora-hf" / lora)
    weights = local.unet.state_dict()
    for name, ours in with_lora["pipe"].unet.state_dict().items():
        assert torch.equal(ours, weights[name])
