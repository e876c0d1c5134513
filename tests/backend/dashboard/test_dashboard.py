"""The run pages, as a browser asks for them."""

import base64
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from backend.dashboard.access import is_loopback, needs_no_login
from backend.dashboard.facts import read_run
from backend.dashboard.report import report
from backend.run.states import Event
from backend.settings import Settings
from backend.show.pictures import wilson_interval
from backend.store import Store
from backend.tasks.images import image_path
from backend.web.app import create_app
from tests.backend.made_runs import MadeRun

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BALLOTS = ("tg", "gb", "bb", "b-")


@pytest.fixture
def client(settings: Settings, store: Store) -> Iterator[FlaskClient]:
    with create_app(settings, store).test_client() as client:
        yield client


@pytest.fixture
def made(settings: Settings, store: Store) -> MadeRun:
    made = MadeRun(settings, store, annotators_per_image=2)
    made.go_round(*BALLOTS)
    return made


class Page(HTMLParser):
    """A page's text, ids, and what it refers to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.ids, self.sources, self.links, self.tags = "", [], [], [], []
        self._hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "script")
        self.tags.append(tag)
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(found["id"])
        if found.get("src"):
            self.sources.append(found["src"])
        if found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            assert found.get("alt"), found

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += f"{data} "


def get(client: FlaskClient, path: str) -> Page:
    answer = client.get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    page = Page(answer.get_data(as_text=True))
    page.text = " ".join(page.text.split())
    assert len(page.ids) == len(set(page.ids))
    return page


class TestAccess:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
    def test_loopback(self, host: str):
        assert is_loopback(host)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "hero.example.com"])
    def test_others(self, host: str):
        assert not is_loopback(host)

    def test_a_name_that_points_here_is_not_here(self, settings: Settings):
        assert needs_no_login(settings, "127.0.0.1", "localhost:9090")
        assert needs_no_login(settings, "::1", "[::1]:9090")
        assert not needs_no_login(settings, "127.0.0.1", "rebound.example.com:9090")
        assert not needs_no_login(settings, "192.168.1.7", "localhost:9090")
        assert not needs_no_login(settings, None, "localhost:9090")

    def test_a_proxy_on_this_machine_asks_for_others(self, settings: Settings, client: FlaskClient):
        assert client.get("/runs").status_code == 200
        for name in ("X-Forwarded-For", "Forwarded", "Via"):
            assert client.get("/runs", headers={name: "203.0.113.9"}).status_code == 401
        published = settings.model_copy(update={"public_url": "https://hero.example.org"})
        assert not needs_no_login(published, "127.0.0.1", "127.0.0.1:9090")
        local = settings.model_copy(update={"public_url": "http://localhost:9090"})
        assert needs_no_login(local, "127.0.0.1", "127.0.0.1:9090")

    def test_a_server_for_others_asks_for_the_password(
        self, settings: Settings, store: Store, made: MadeRun
    ):
        open_to_all = settings.model_copy(update={"host": "0.0.0.0"})
        client = create_app(open_to_all, store).test_client()
        run, epoch = f"/runs/{made.id}", f"/runs/{made.id}/epochs/1"
        pictures = (f"{epoch}/images/0", f"{epoch}/thumbnails/0", f"{epoch}/mosaic")
        password = base64.b64encode(b"hero:open sesame").decode()
        for path in ("/runs", run, epoch, *pictures, "/runs-assets/dashboard.css", "/runs/nothing"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
            assert made.run.prompt not in answer.get_data(as_text=True)
            answer = client.get(path, headers={"Authorization": f"Basic {password}"})
            assert answer.status_code == (404 if "nothing" in path else 200)

    def test_pages_only_read(self, client: FlaskClient, made: MadeRun):
        for path in ("/runs", f"/runs/{made.id}", f"/runs/{made.id}/epochs/1"):
            assert client.post(path).status_code in (401, 405)

    def test_headers_keep_the_page_to_itself(self, client: FlaskClient, made: MadeRun):
        headers = client.get(f"/runs/{made.id}").headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "private" in headers["Cache-Control"]

    def test_a_browser_at_the_root_is_led_to_the_runs(self, client: FlaskClient):
        assert client.get("/", headers=HTML).headers["Location"] == "/runs"
        assert client.get("/", headers={"Accept": "*/*"}).get_json()["status"] == "UP"
        assert client.get("/health", headers=HTML).get_json()["status"] == "UP"


class TestRuns:
    def test_none_yet(self, client: FlaskClient):
        assert "hero start" in get(client, "/runs").text

    def test_each_with_what_it_waits_for(self, client: FlaskClient, made: MadeRun):
        made.draw()
        text = get(client, "/runs").text
        assert made.id in text
        assert "25 %" in text
        assert "0 of 4" in text


class TestRun:
    def test_what_happens_now(self, client: FlaskClient, made: MadeRun):
        made.draw()
        made.vote("gg", "g-", "bx")
        text = get(client, f"/runs/{made.id}").text
        assert "Epoch 2 of 2: 1 of 4 labelled, 4 of 8 votes, best missing, 2 annotators" in text
        assert "ann 3" in text
        assert "ben 1" in text
        assert f"hero advance {made.id}" in text

    def test_curves_come_with_their_numbers(self, client: FlaskClient, made: MadeRun):
        page = get(client, f"/runs/{made.id}")
        low, high = wilson_interval(1, 4)
        assert f"1 1 4 25% {low:.0%} to {high:.0%}" in page.text.replace(" %", "%")
        for title in ("Rewards", "Embedding loss", "Policy loss", "Clip fraction", "Diversity"):
            assert title in page.text
        assert page.tags.count("svg") >= 7

    def test_late_annotations_are_told_and_change_nothing(self, client: FlaskClient, made: MadeRun):
        before = get(client, f"/runs/{made.id}").text
        assert "Late annotations" not in before
        made.change_late(1, "x")
        made.vote("--g", epoch=0, late=True)
        text = get(client, f"/runs/{made.id}").text
        assert "Late annotations" in text
        assert "cem@example.com" in text
        assert "25 %" in text
        assert "later skipped" in get(client, f"/runs/{made.id}/epochs/1").text

    def test_the_beginning_of_an_id_leads_to_the_run(self, client: FlaskClient, made: MadeRun):
        for short in (made.id[:6], "latest"):
            assert client.get(f"/runs/{short}").headers["Location"] == f"/runs/{made.id}"

    def test_nothing_from_outside_is_markup(self, client: FlaskClient, settings, store):
        evil = "<script>alert(1)</script> `<b>rose</b>`"
        made = MadeRun(settings, store, prompt=evil, title=evil, criteria=evil, epochs=1)
        made.go_round("t", "g", "b", "b")
        for path in ("/runs", f"/runs/{made.id}", f"/runs/{made.id}/epochs/1"):
            page = get(client, path)
            assert page.tags.count("script") == 1
            assert "<script>alert(1)</script>" in page.text
            assert "<b>rose</b>" in page.text
        assert "<script" not in report(settings, store, made.run)

    def test_a_failed_run_says_why(self, client: FlaskClient, store: Store, made: MadeRun):
        store.transition(made.id, Event.fail, error="The disk is full; run `df`.")
        page = get(client, f"/runs/{made.id}")
        assert "The disk is full; run df ." in page.text
        assert f"hero resume {made.id}" in page.text

    def test_before_the_first_image(self, client: FlaskClient, settings: Settings, store: Store):
        made = MadeRun(settings, store)
        assert "No images yet" in get(client, f"/runs/{made.id}").text

    def test_settings_that_are_not_the_defaults(self, client: FlaskClient, settings, store):
        made = MadeRun(settings, store, config={"learning_rate": 5e-3, "eta": 1.0, "lora_rank": 8})
        text = get(client, f"/runs/{made.id}").text
        assert "learning_rate 0.005 instead of 0.001" in text
        assert "lora_rank 8 instead of 4" in text
        assert " eta " not in text

    @pytest.mark.parametrize(
        ("config", "reward"),
        [
            ({}, "similarity to the best image (Eq. 4)"),
            ({"reward": "binary"}, "1 for a good image, 0 for a bad one"),
            ({"reward": "positives"}, "similarity to the mean of the good images, in the emb"),
            ({"method": "ddpo", "reward_model": "pickscore"}, "score by the reward model picks"),
        ],
    )
    def test_rewards_are_called_what_they_are(self, client, settings, store, config, reward):
        made = MadeRun(settings, store, config=config)
        made.go_round("t", "g", "b", "b")
        made.go_round("g", "g", "b", "b", predictions=[0.9, 0.8, 0.1, 0.2])
        text = get(client, f"/runs/{made.id}").text
        assert f"over the good and over the bad images: {reward}" in text
        first, second = (client.get(f"/runs/{made.id}/epochs/{n}").text for n in (1, 2))
        assert f"Reward after learning: {reward}" in first
        assert f"Predicted before anybody judged: {reward}" in second
        similar = not config
        assert ("the anchor of the rewards" in first) is similar
        assert ('class="anchor">anchor<' in first) is similar
        assert ("Eq. 4" in first) is similar
        assert ("the anchor stays" in second) is similar
        assert ("predictions compare with it" in second) is similar

    def test_samples(self, client: FlaskClient, made: MadeRun):
        assert "How the model changes" not in get(client, f"/runs/{made.id}").text
        made.sample_rows(2)
        page = get(client, f"/runs/{made.id}")
        assert "Pretrained" in page.text
        assert "After epoch 1" in page.text
        assert client.get(f"/runs/{made.id}/samples/1/3").mimetype == "image/webp"

    def test_unknown_runs_and_epochs(self, client: FlaskClient, made: MadeRun):
        for path in (
            "nothing",
            f"{made.id}/epochs/9",
            f"{made.id}/epochs/x",
            f"{made.id}/epochs/0",
        ):
            answer = client.get(f"/runs/{path}")
            assert answer.status_code == 404
            assert answer.mimetype == "text/html"


class TestPolling:
    @pytest.mark.parametrize("path", ["/runs", "/runs/{}", "/runs/{}/epochs/2"])
    def test_nothing_is_sent_until_something_changed(
        self, client: FlaskClient, made: MadeRun, path: str
    ):
        made.draw()
        path = path.format(made.id)
        tag = client.get(path).headers["ETag"]
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
        made.vote("gg")
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 200

    def test_it_ends_with_the_run(self, client: FlaskClient, store: Store, made: MadeRun):
        assert 'data-live="2"' in client.get(f"/runs/{made.id}").get_data(as_text=True)
        store.transition(made.id, Event.stop)
        assert 'data-live=""' in client.get(f"/runs/{made.id}").get_data(as_text=True)


class TestEpoch:
    def test_every_image_with_its_votes(self, client: FlaskClient, made: MadeRun):
        page = get(client, f"/runs/{made.id}/epochs/1")
        assert [i for i in page.ids if i.startswith("tile-")] == [f"tile-1-{i}" for i in range(4)]
        assert "ann best ben good" in page.text
        assert "ann good ben bad" in page.text
        assert page.text.count("anchor ") >= 1
        assert page.text.count("split") >= 1
        assert "+1.00" in page.text

    def test_an_open_epoch_shows_what_would_be_decided(self, client: FlaskClient, made: MadeRun):
        made.draw(predictions=[0.9, 0.8, 0.1, 0.2])
        made.vote("gg", "bb")
        page = get(client, f"/runs/{made.id}/epochs/2")
        assert "good 1 bad 1 not judged 2" in page.text
        assert "Best before epoch 1, #0" in page.text
        assert "+0.90" in page.text

    def test_the_anchor_stays_when_nobody_chose_a_best(self, client: FlaskClient, made: MadeRun):
        made.go_round("gg", "bb", "bb", "gg")
        assert "the anchor stays #0 of epoch 1" in get(client, f"/runs/{made.id}/epochs/2").text

    def test_by_reward(self, client: FlaskClient, made: MadeRun):
        made.go_round("bb", "gg", "tg", "bb")
        page = get(client, f"/runs/{made.id}/epochs/2?order=reward")
        assert [i for i in page.ids if i.startswith("tile-")] == [
            f"tile-2-{i}" for i in (2, 1, 0, 3)
        ]

    def test_what_the_embedding_judged(self, client: FlaskClient, settings: Settings, store: Store):
        made = MadeRun(settings, store, label_budget=2)
        made.go_round("t", "g", "b", "b")
        made.draw(predictions=[0.9, 0.8, 0.1, 0.2], asked={0, 1})
        made.vote("t", "b")
        made.learn()
        text = get(client, f"/runs/{made.id}/epochs/2").text
        assert "by the embedding 2" in text
        assert text.count("bad embedding") == 2

    def test_a_gallery_links_to_its_page(self, client: FlaskClient, settings, store):
        made = MadeRun(settings, store, layout="gallery")
        made.draw()
        page = get(client, f"/runs/{made.id}/epochs/1")
        assert "http://label-studio.test/projects/3/data?task=1" in page.links


class TestPictures:
    def test_small_ones_are_kept_as_they_are(self, client: FlaskClient, made: MadeRun):
        answer = client.get(f"/runs/{made.id}/epochs/1/thumbnails/1")
        assert answer.mimetype == "image/webp"
        again = {"If-None-Match": answer.headers["ETag"]}
        path = f"/runs/{made.id}/epochs/1/thumbnails/1"
        assert client.get(path, headers=again).status_code == 304
        original = client.get(f"/runs/{made.id}/epochs/1/images/1")
        assert original.data == (settings_images(made) / "0001.png").read_bytes()

    def test_the_mosaic_shows_an_image_that_was_put_back(
        self, client, made: MadeRun, settings: Settings
    ):
        whole = client.get(f"/runs/{made.id}/epochs/1/mosaic").data
        file = settings.images_dir / image_path(made.id, 0, 0)
        moved = file.rename(file.with_suffix(".away"))
        lacking = client.get(f"/runs/{made.id}/epochs/1/mosaic").data
        assert lacking != whole
        moved.rename(file)
        assert client.get(f"/runs/{made.id}/epochs/1/mosaic").data == whole

    def test_the_mosaics_address_changes_with_the_verdicts(self, client, made: MadeRun):
        made.draw()

        def mosaic() -> str:
            sources = get(client, f"/runs/{made.id}").sources
            return next(s for s in sources if "/epochs/2/mosaic" in s)

        before = mosaic()
        assert client.get(before).mimetype == "image/webp"
        made.vote("gg")
        assert mosaic() != before

    def test_a_missing_image_is_a_placeholder(self, client: FlaskClient, made: MadeRun):
        (settings_images(made) / "0001.png").unlink()
        for kind in ("images", "thumbnails"):
            answer = client.get(f"/runs/{made.id}/epochs/1/{kind}/1")
            assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
        assert client.get(f"/runs/{made.id}/epochs/1/mosaic").status_code == 200

    def test_only_images_of_the_run_are_served(self, client: FlaskClient, made: MadeRun):
        (made.settings.home / "env").write_text("SECRET=1")
        for path in (
            f"{made.id}/epochs/1/images/99",
            f"{made.id}/epochs/1/images/..%2f..%2fenv",
            "..%2f..%2fenv/epochs/1/images/0",
            f"{made.id}/epochs/..%2f1/images/0",
            f"{made.id}/samples/0/-1",
        ):
            answer = client.get(f"/runs/{path}")
            assert answer.status_code in (401, 404) or answer.mimetype == "image/svg+xml"
            assert b"SECRET" not in answer.data
        for path in ("/runs-assets/../views.py", "/runs-assets/%2e%2e/views.py"):
            assert client.get(path).status_code in (401, 404)


class TestReport:
    def test_one_file_that_needs_nothing_else(self, settings: Settings, made: MadeRun):
        made.go_round("gg", "tt", "bb", "bb")
        made.sample_rows(3)
        html = report(settings, made.store, made.run)
        page = Page(html)
        assert len(page.sources) > 8 + 12
        assert all(source.startswith("data:") for source in page.sources)
        outside = [link for link in page.links if not link.startswith("#")]
        assert outside == []
        assert {"epoch-1", "epoch-2"} <= set(page.ids)
        assert "ben@example.com" in html
        assert html.endswith("</html>")


def test_the_peoples_time_is_what_they_spent(client, settings: Settings, store: Store, clock):
    made = MadeRun(settings, store, annotators_per_image=2)
    made.draw()
    clock.pass_seconds(12 * 3600)
    made.vote(*BALLOTS)
    made.learn()
    facts = read_run(settings, store, made.id)
    assert facts.people_seconds == 7 * 1.5
    page = get(client, f"/runs/{made.id}")
    assert "s time 10 s" in page.text
    assert "12 h 0 min" in page.text


def test_facts_match_the_stores_own(settings: Settings, made: MadeRun):
    facts = read_run(settings, made.store, made.id)
    [line] = facts.view.lines
    [epoch] = facts.epochs
    assert (epoch.good, epoch.judged) == (line.good, line.labelled)
    assert epoch.best is not None
    assert epoch.best.image.index == 0
    assert epoch.disputed == 1


def settings_images(made: MadeRun):
    return made.settings.images_dir / made.id / "0000"
