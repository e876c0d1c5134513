"""The list of runs, and a run's page."""

import pytest
from flask.testing import FlaskClient

from backend.dashboard.facts import read_run
from backend.dashboard.report import report
from backend.run.chain import Parent
from backend.run.states import Event
from backend.settings import Settings
from backend.show.pictures import wilson_interval
from backend.store import Store
from tests.backend.comparing.compared import comparison, fill
from tests.backend.dashboard.reading import BALLOTS, Page, get
from tests.backend.fake_engine import FORECAST
from tests.backend.made_runs import MadeRun


class TestRuns:
    def test_none_yet(self, client: FlaskClient):
        assert "hero start" in get(client, "/runs").text

    def test_each_with_what_it_waits_for(self, client: FlaskClient, made: MadeRun):
        made.draw()
        text = get(client, "/runs").text
        assert made.id in text
        assert "25 %" in text
        assert "0 of 4" in text

    def test_each_with_its_latest_batch(self, client: FlaskClient, made: MadeRun):
        assert f"/runs/{made.id}/epochs/1/mosaic?v=1-4-0" in get(client, "/runs").sources

    def test_they_are_searched(self, client: FlaskClient, settings, store, made: MadeRun):
        cat = MadeRun(settings, store, prompt="a black cat", project=4, config={"method": "d3po"})
        store.transition(cat.id, Event.pause)
        both, rose, neither = {made.id, cat.id}, {made.id}, set()
        for query, wanted in (
            ("", both),
            ("?q=BLUE rose", rose),
            ("?q=rose cat", neither),
            ("?state=paused", both - rose),
            ("?method=d3po", both - rose),
            ("?method=d3po&q=rose", neither),
            (f"?q={cat.id}", both - rose),
        ):
            text = get(client, f"/runs{query}").text
            assert {run_id for run_id in both if f" {run_id} " in text} == wanted, query
            assert ("No run fits" in text) is (not wanted)


class TestCompare:
    def test_two_runs_in_one_plot(self, client: FlaskClient, settings, store, made: MadeRun):
        other = MadeRun(settings, store, prompt="a black cat", project=4)
        store.transition(made.id, Event.pause)
        other.go_round("t", "g", "g", "b")
        made.sample_rows(2)
        page = get(client, f"/runs/compare?runs={made.id},{other.id}")
        assert "A: 25% in epoch 1; B: 75% in epoch 1" in page.html
        assert page.tags.count("svg") == 3
        assert "before" in page.text and "after epoch 1" in page.text
        assert client.get(f"/runs/compare?runs={made.id}&runs={other.id}").status_code == 200

    def test_one_or_unknown_runs(self, client: FlaskClient, made: MadeRun):
        for query, status in ((made.id, 400), (f"{made.id},{made.id}", 400), ("x,y", 404)):
            answer = client.get(f"/runs/compare?runs={query}")
            assert (answer.status_code, answer.mimetype) == (status, "text/html")


class TestSideBySide:
    def test_the_first_and_the_latest(self, client: FlaskClient, made: MadeRun):
        made.draw()
        page = get(client, f"/runs/{made.id}/epochs")
        assert {"beside-1", "beside-2"} <= set(page.ids)
        assert "beside-2" not in get(client, f"/runs/{made.id}/epochs?of=1").ids

    def test_the_beginning_of_an_id_leads_there(self, client: FlaskClient, made: MadeRun):
        where = client.get("/runs/latest/epochs").headers["Location"]
        assert where == f"/runs/{made.id}/epochs"


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
            assert page.tags.count("script") == 2
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

    def test_what_an_epoch_takes(self, client: FlaskClient, settings: Settings, store: Store):
        made = MadeRun(settings, store)
        assert "an epoch, " not in get(client, f"/runs/{made.id}").text
        claim = store.claim("worker", 60)
        assert claim is not None
        store.tried(claim, made.run.config, FORECAST)
        assert "about 6 min an epoch, 9.1 GB of 12" in get(client, f"/runs/{made.id}").text

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

    def test_it_is_slower_once_the_run_has_ended(self, client, store: Store, made: MadeRun):
        assert 'data-live="2"' in client.get(f"/runs/{made.id}").get_data(as_text=True)
        store.transition(made.id, Event.stop)
        assert 'data-live="10"' in client.get(f"/runs/{made.id}").get_data(as_text=True)


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


class TestComparison:
    def test_who_was_preferred_with_the_interval(
        self, client: FlaskClient, made: MadeRun, settings: Settings, store: Store
    ):
        assert "Blind comparison" not in get(client, f"/runs/{made.id}").text
        compared = comparison(store, made.id, sides="lr" * 5)
        fill(store, compared, "+++++++-==")
        low, high = wilson_interval(7, 8)
        run_page = get(client, f"/runs/{made.id}").text
        written = " ".join(Page(report(settings, store, made.run)).text.split())
        for text in (run_page, written):
            assert "Blind comparison" in text
            assert "The model after epoch 2 against the base model" in text
            assert "preferred in 7 of 8 pairs" in text
            assert f"{100 * low:.0f} % to {100 * high:.0f} %; 2 ties not counted" in text
            assert "People prefer the model after epoch 2." in text
            assert compared.sides not in text

    def test_several_people_and_what_is_missing(
        self, client: FlaskClient, made: MadeRun, store: Store
    ):
        compared = comparison(store, made.id, people=2, sides="lrl")
        fill(store, compared, ["++", "+-", "+."])
        text = get(client, f"/runs/{made.id}").text
        assert "2 of 3 pairs are judged" in text
        assert "ben@example.com" in text

    def test_by_prompt(self, client: FlaskClient, made: MadeRun, settings, store: Store):
        compared = comparison(store, made.id, sides="lrl", prompts=("a <cat>", "1 hand"))
        fill(store, compared, "+-=")
        run_page = get(client, f"/runs/{made.id}").text
        written = " ".join(Page(report(settings, store, made.run)).text.split())
        for text in (run_page, written):
            assert "a <cat> 1 of 1 100 % 21 % to 100 % 1 1 hand 0 of 1 0 %" in text


def test_the_runs_before_and_after_are_named(
    client: FlaskClient, made: MadeRun, settings: Settings, store: Store
):
    later = store.create_run(made.run.config, parent=Parent(made.id, 1))
    assert f"{later.id} goes on from it." in get(client, f"/runs/{made.id}").text
    said = f"Goes on from {made.id} after epoch 1."
    assert said in get(client, f"/runs/{later.id}").text
    assert said in report(settings, store, later)
