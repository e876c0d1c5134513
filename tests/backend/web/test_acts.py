"""What the run pages can do, for whom, and that no other page can."""

import io
import json
import zipfile

import pytest
from flask.testing import FlaskClient

from backend.dashboard import access
from backend.errors import BadInput
from backend.run.states import Event, State
from backend.settings import Settings
from backend.starting.plan import make_plan
from backend.store import Store
from backend.web import start_form
from tests.backend.dashboard.conftest import client, made, owner
from tests.backend.dashboard.reading import get
from tests.backend.fake_engine import FORECAST
from tests.backend.made_runs import MadeRun

__all__ = ["client", "made", "owner"]


def token_of(browser: FlaskClient, settings: Settings) -> str:
    cookie = browser.get_cookie(access.COOKIE)
    return access.page_token(settings, cookie.value if cookie else None)


@pytest.fixture
def post(owner: FlaskClient, settings: Settings):
    """Sends what a page of ours sends."""
    headers = {access.TOKEN_HEADER: token_of(owner, settings), "Origin": "http://localhost"}

    def send(path: str, **body):
        return owner.post(path, json=body, headers=headers)

    return send


class TestForgery:
    """Nothing happens but by a page of ours in the hands of an owner."""

    @pytest.fixture(params=["/runs/{}/acts/pause", "/runs/new", "/runs/{}/jobs"])
    def path(self, request: pytest.FixtureRequest, made: MadeRun) -> str:
        return request.param.format(made.id)

    def test_the_token_stands_in_an_owners_pages_alone(self, owner, client, settings, made):
        for page in ("/runs", f"/runs/{made.id}", f"/runs/{made.id}/epochs/1"):
            assert token_of(owner, settings) in owner.get(page).get_data(as_text=True)
            assert "hero-token" not in client.get(page).get_data(as_text=True)
            assert "data-post" not in client.get(page).get_data(as_text=True)

    @pytest.mark.parametrize("given", [None, "", "guess", "another"])
    def test_without_the_token(self, owner, settings, store, made: MadeRun, path, given):
        if given == "another":
            given = access.page_token(settings, access.new_cookie(settings, access.Role.owner))
        headers = {} if given is None else {access.TOKEN_HEADER: given}
        answer = owner.post(path, json={}, headers=headers)
        assert answer.status_code == 403
        assert "reload the page" in answer.get_json()["error"]
        assert store.run(made.id).state is State.generating
        assert store.jobs(made.id) == []

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "http://localhost:8080"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    def test_from_another_origin(self, owner, settings, store, made: MadeRun, path, headers):
        token = {access.TOKEN_HEADER: token_of(owner, settings)}
        answer = owner.post(path, json={}, headers={**token, **headers})
        assert answer.status_code == 403
        assert store.run(made.id).state is State.generating

    def test_as_a_form(self, owner, settings, store, made: MadeRun, path):
        headers = {access.TOKEN_HEADER: token_of(owner, settings)}
        assert owner.post(path, data={"epochs": 1}, headers=headers).status_code == 415
        assert store.run(made.id).state is State.generating

    def test_by_somebody_who_may_look(self, client, settings, store, made: MadeRun, path):
        headers = {access.TOKEN_HEADER: token_of(client, settings)}
        answer = client.post(path, json={}, headers=headers)
        assert answer.status_code == 403
        assert "may look and label" in answer.get_json()["error"]
        assert store.run(made.id).state is State.generating

    def test_by_a_stranger(self, client, settings, made: MadeRun, path):
        client.delete_cookie(access.COOKIE)
        assert client.post(path, json={}).status_code == 401

    def test_what_is_taken_away_is_for_owners(self, client, made: MadeRun):
        for name in ("results", "exports/annotations.csv", "jobs/1/file"):
            answer = client.get(f"/runs/{made.id}/{name}")
            assert (answer.status_code, answer.mimetype) == (403, "text/html")
        assert client.get("/runs/new").status_code == 403
        client.delete_cookie(access.COOKIE)
        assert "hero link" in client.get("/runs/new").get_data(as_text=True)


class TestSteering:
    def test_the_buttons_are_those_that_the_state_allows(self, owner, store, made: MadeRun):
        def buttons() -> set[str]:
            page = get(owner, f"/runs/{made.id}")
            return {name.removeprefix("act-") for name in page.ids if name.startswith("act-")}

        assert buttons() == {"pause", "stop"}
        store.transition(made.id, Event.pause)
        assert buttons() == {"resume", "stop"}
        store.transition(made.id, Event.resume)
        made.draw()
        assert buttons() == {"advance", "pause", "stop"}
        made.vote("gg", "bb")
        made.learn()
        assert buttons() == {"extend"}
        assert 'name="epochs"' in get(owner, f"/runs/{made.id}").html

    def test_pause_resume_stop(self, post, store: Store, made: MadeRun):
        for name, state in (("pause", "paused"), ("resume", "generating"), ("stop", "stopped")):
            answer = post(f"/runs/{made.id}/acts/{name}")
            assert answer.get_json() == {"said": f"Run {made.id} is {state} now."}
            assert store.run(made.id).state == state

    def test_what_the_state_does_not_allow_is_a_sentence(self, post, store: Store, made: MadeRun):
        answer = post(f"/runs/{made.id}/acts/resume")
        assert answer.status_code == 409
        assert "possible now: pause, stop" in answer.get_json()["error"]
        assert store.run(made.id).state is State.generating

    def test_extend(self, post, store: Store, made: MadeRun):
        made.go_round("t", "g", "b", "b")
        answer = post(f"/runs/{made.id}/acts/extend", epochs=3)
        assert answer.get_json()["said"].endswith("3 more epochs of 4 images, 5 in all.")
        assert store.run(made.id).epochs == 5

    @pytest.mark.parametrize("epochs", [0, -1, 101, 1.5, "2", True, None])
    def test_a_strange_number_of_epochs(self, post, made: MadeRun, epochs):
        assert post(f"/runs/{made.id}/acts/extend", epochs=epochs).status_code == 400

    def test_advance_says_what_label_studio_says(self, post, made: MadeRun):
        made.draw()
        answer = post(f"/runs/{made.id}/acts/advance")
        assert answer.status_code == 502
        assert "http://127.0.0.1:1" in answer.get_json()["error"]

    def test_unknown_acts_and_runs(self, post, made: MadeRun):
        assert post(f"/runs/{made.id}/acts/fail").status_code == 404
        assert post("/runs/nothing/acts/pause").status_code == 404


class TestStart:
    def test_the_page_offers_models_and_says_what_they_take(self, owner, store, made: MadeRun):
        claim = store.claim("worker", 60)
        store.tried(claim, {**made.run.config, "model": "/models/roses"}, FORECAST)
        page = get(owner, "/runs/new")
        assert "tiny (small, bundled)" in page.text
        assert "/models/roses (of an earlier run, last time about 6 min an epoch" in page.text

    @pytest.mark.parametrize("model", ["/etc", "../x", "somebody/else", "", None, 3])
    def test_no_other_model(self, post, store: Store, model):
        answer = post("/runs/new", prompt="a rose", model=model)
        assert answer.status_code == 400
        assert "it offers tiny, " in answer.get_json()["error"]
        assert store.runs() == []

    def test_nothing_that_the_page_does_not_ask_for(self, post):
        answer = post("/runs/new", prompt="a rose", model="tiny", revision="x", set={"a": 1})
        assert answer.get_json()["error"].startswith("Cannot start the run: revision, set cannot")

    def test_what_the_other_process_is_told(self, settings: Settings, store: Store):
        form = {"prompt": "a rose", "model": "tiny", "criteria": "", "epochs": 3}
        wanted = {"prompt": "a rose", "preset": "tiny", "model": "tiny", "epochs": 3}
        assert start_form.options_of(settings, store, form) == wanted

    @pytest.mark.parametrize(
        ("form", "wanted"),
        [
            (
                {
                    "prompt": "a rose",
                    "prompts": "# two\n a cat | one cat \n\n",
                    "held_out": "a dog",
                },
                {"prompts": ["a rose", "a cat | one cat"], "held_out": ["a dog"]},
            ),
            (
                {"prompt": "a | rose", "prompts": "\n# none", "held_out": " "},
                {"prompt": "a | rose"},
            ),
            ({"prompts": "/etc/passwd"}, {"prompts": ["/etc/passwd"]}),
        ],
    )
    def test_several_prompts(self, settings: Settings, store: Store, form, wanted):
        said = start_form.options_of(settings, store, {"model": "tiny", **form})
        assert said == {"preset": "tiny", "model": "tiny", **wanted}

    @pytest.mark.parametrize(
        "form",
        [
            {"prompt": "a cat", "prompts": "a cat | x"},
            {"prompt": "a cat", "prompts": "| x"},
            {"prompt": "a cat", "prompts": "a dog", "images": 6},
        ],
    )
    def test_prompts_are_refused_by_the_sentence_of_the_command(
        self, settings: Settings, store: Store, tmp_path, form
    ):
        options = start_form.options_of(settings, store, {"model": "tiny", **form})
        file = tmp_path / "prompts.txt"
        file.write_text(f"{form['prompt']}\n{form['prompts']}")
        of_command = {**options, "prompts": str(file)}
        said = []
        for each in (options, of_command):
            with pytest.raises(BadInput) as caught:
                make_plan(settings, each)
            said.append(str(caught.value))
        assert said[0] == said[1]

    @pytest.mark.slow
    def test_a_refusal_is_that_of_the_command(self, post, store: Store, monkeypatch):
        monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
        answer = post("/runs/new", prompt="a rose", model="tiny", epochs=0)
        assert (answer.status_code, "--epochs" in answer.get_json()["error"]) == (400, True)
        answer = post("/runs/new", prompt="a rose", model="tiny")
        assert (answer.status_code, "127.0.0.1:1" in answer.get_json()["error"]) == (502, True)
        assert store.runs() == []


class TestDownloads:
    def test_tables(self, owner: FlaskClient, made: MadeRun):
        answer = owner.get(f"/runs/{made.id}/exports/annotations.csv")
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"].endswith(f"{made.id}-annotations.csv")
        assert "ann@example.com" in answer.get_data(as_text=True)
        rows = json.loads(owner.get(f"/runs/{made.id}/exports/verdicts.json").data)
        assert [row["verdict"] for row in rows] == ["best", "bad", "bad", "bad"]

    def test_folders_are_zip_files(self, owner: FlaskClient, settings, made: MadeRun):
        answer = owner.get(f"/runs/{made.id}/exports/images.hf")
        with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
            assert f"{made.id}-images-hf/epoch-0001/0000.png" in archive.namelist()
        answer.close()
        assert list((settings.home / "downloads").iterdir()) == []

    def test_the_report(self, owner: FlaskClient, made: MadeRun):
        answer = owner.get(f"/runs/{made.id}/exports/report.html")
        assert "attachment" in answer.headers["Content-Disposition"]
        assert made.run.prompt in answer.get_data(as_text=True)

    def test_what_there_is_not(self, owner: FlaskClient, made: MadeRun):
        for name, status in (
            ("annotations.exe", 400),
            ("secrets.csv", 400),
            ("lora.safetensors", 400),
        ):
            answer = owner.get(f"/runs/{made.id}/exports/{name}")
            assert (answer.status_code, answer.mimetype) == (status, "text/html")

    def test_nothing_yet(self, owner: FlaskClient, settings: Settings, store: Store):
        fresh = MadeRun(settings, store)
        answer = owner.get(f"/runs/{fresh.id}/exports/verdicts.csv")
        assert answer.status_code == 409
        assert "label it first" in answer.get_data(as_text=True)


class TestAsking:
    def test_images_are_asked_for(self, owner, post, store: Store, made: MadeRun):
        answer = post(f"/runs/{made.id}/jobs", kind="images", prompt=" a red rose ", n=3, seed=7)
        assert answer.status_code == 200
        [job] = store.jobs(made.id)
        assert job.options == {"prompt": "a red rose", "n": 3, "seed": 7, "epoch": 1}
        assert "Waiting for a worker" in get(owner, f"/runs/{made.id}/results").text

    def test_prompts_that_are_kept_are_offered(self, owner, made: MadeRun, monkeypatch):
        monkeypatch.setattr("backend.engine.kept_prompts", lambda config: ("two <roses>", "rose"))
        page = owner.get(f"/runs/{made.id}/results").get_data(as_text=True)
        assert '<option value="two &lt;roses&gt;">' in page
        assert "has changed beside its own: two &lt;roses&gt;; rose." in page
        run_page = owner.get(f"/runs/{made.id}").get_data(as_text=True)
        assert "<dt>prompts kept as they are</dt><dd>two &lt;roses&gt;; rose</dd>" in run_page

    def test_asking_twice_makes_one(self, post, store: Store, made: MadeRun):
        for _ in range(2):
            post(f"/runs/{made.id}/jobs", kind="export", what="lora", format="safetensors")
        assert len(store.jobs(made.id)) == 1

    def test_not_too_many(self, post, made: MadeRun):
        statuses = [
            post(f"/runs/{made.id}/jobs", kind="images", seed=n).status_code for n in range(5)
        ]
        assert statuses == [200] * 4 + [409]

    @pytest.mark.parametrize(
        "body",
        [
            {"kind": "images", "n": 17},
            {"kind": "images", "seed": -1},
            {"kind": "images", "prompt": 3},
            {"kind": "images", "prompt": "x" * 2001},
            {"kind": "export", "what": "annotations"},
            {"kind": "export", "what": "lora", "format": "exe"},
            {},
        ],
    )
    def test_strange_wishes(self, post, store: Store, made: MadeRun, body):
        assert post(f"/runs/{made.id}/jobs", **body).status_code == 400
        assert store.jobs(made.id) == []

    def test_before_the_first_epoch(self, post, settings: Settings, store: Store):
        fresh = MadeRun(settings, store)
        assert post(f"/runs/{fresh.id}/jobs", kind="images").status_code == 400

    def test_what_is_not_made_yet(self, owner, post, made: MadeRun):
        number = post(f"/runs/{made.id}/jobs", kind="images").get_json()["job"]
        assert owner.get(f"/runs/{made.id}/jobs/{number}/file").status_code == 404
        missing = owner.get(f"/runs/{made.id}/jobs/{number}/after/0")
        assert missing.mimetype == "image/svg+xml"
        assert owner.get(f"/runs/{made.id}/jobs/99/file").status_code == 404
