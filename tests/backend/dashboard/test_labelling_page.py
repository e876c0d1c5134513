"""The page to label on: what it says in each stage, and when it changes."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from backend.dashboard.labelling_page import LabellingPage, read_labelling_page, stream
from backend.run.states import Event
from backend.settings import Settings
from backend.store import Store
from tests.backend.conftest import Clock
from tests.backend.dashboard.reading import get
from tests.backend.made_runs import MadeRun


@pytest.fixture
def one(settings: Settings, store: Store) -> MadeRun:
    """A run that one person labels."""
    return MadeRun(settings, store, images=8, title="Roses")


def page(made: MadeRun) -> LabellingPage:
    return read_labelling_page(made.settings, made.store, made.id)


def told(made: MadeRun, *annotations: int) -> None:
    for number in annotations:
        made.store.hint(3, "ANNOTATION_CREATED", task_id=1, annotation_ids=[number])


class TestStages:
    def test_it_goes_round(self, one: MadeRun, clock: Clock):
        assert (page(one).phase, page(one).title) == ("wait", "drawing")
        one.draw()
        assert (page(one).phase, page(one).title) == ("label", "8 to label")
        assert page(one).line == "epoch 1 of 2, image 1 of 8, best: not yet"
        first = page(one).batch
        one.vote("g", "t", "b")
        assert page(one).line == "epoch 1 of 2, image 4 of 8, best: chosen"
        assert page(one).title == "5 to label"
        assert page(one).last is None
        one.vote(*"gtbbbbbb")
        assert page(one).phase == "wait"
        assert page(one).awaited == "all labels are there; one moment"
        one.learn()
        clock.pass_seconds(5)
        waiting = page(one)
        assert waiting.title == "drawing, 10 s"
        assert waiting.share_done == pytest.approx(5 / 13)
        assert waiting.last is not None and waiting.last.good == 2
        one.draw()
        assert page(one).batch != first

    def test_learning_says_how_long_it_takes(self, one: MadeRun, clock: Clock):
        one.go_round(*"gtbbbbbb")
        one.draw()
        one.vote(*"gtbbbbbb")
        one.store.transition(one.run, Event.labelled)
        clock.pass_seconds(4)
        assert page(one).title == "learning, 40 s"
        assert page(one).awaited == "the model learns from the labels, about 40 s until the end"

    def test_the_end_shows_before_and_after(self, one: MadeRun, client: FlaskClient, clock: Clock):
        for _ in range(2):
            one.go_round(*"gtbbbbbb")
        assert (page(one).phase, page(one).title) == ("over", "finished")
        assert page(one).seconds is not None  # the last samples are being drawn
        one.sample_rows(3)
        assert page(one).seconds is None
        seen = get(client, f"/runs/{one.id}/label")
        assert "Before and after" in seen.text
        assert f"/runs/{one.id}/samples/0/0" in seen.sources
        assert f"/runs/{one.id}/samples/2/0" in seen.sources

    @pytest.mark.parametrize(("event", "title"), [(Event.pause, "paused"), (Event.fail, "failed")])
    def test_a_run_that_waits_for_somebody_says_so(
        self, one: MadeRun, client: FlaskClient, event: Event, title: str
    ):
        one.draw()
        one.store.transition(one.run, event, error="The disk is full.")
        assert (page(one).phase, page(one).title) == ("held", title)
        assert "The disk is full." in get(client, f"/runs/{one.id}/label").text


class TestTheEndOfABatch:
    def test_what_label_studio_told_counts_before_it_is_fetched(self, one: MadeRun):
        one.draw()
        one.vote(*"gtbbbb")
        told(one, 9001)
        assert (page(one).phase, page(one).left) == ("label", 1)
        told(one, 9002)
        assert page(one).phase == "wait"

    def test_a_label_that_was_fetched_counts_once(self, one: MadeRun):
        one.draw()
        one.vote(*"gtbbbbb")
        told(one, *(row.ls_id for row in one.store.annotations(one.id)))
        assert (page(one).phase, page(one).left) == ("label", 1)

    def test_the_last_images_are_listened_for(self, one: MadeRun, client: FlaskClient):
        one.draw()
        pulse = f"/runs/{one.id}/label/pulse"
        assert pulse not in client.get(f"/runs/{one.id}/label").get_data(as_text=True)
        one.vote(*"gtbbb")
        assert pulse in client.get(f"/runs/{one.id}/label").get_data(as_text=True)
        before = client.get(pulse).get_data()
        assert client.get(pulse).get_data() == before
        told(one, 9001)
        assert client.get(pulse).get_data() != before

    def test_a_gallery_is_one_task(self, settings: Settings, store: Store):
        made = MadeRun(settings, store, images=8, layout="gallery")
        made.draw()
        assert page(made).line == "epoch 1 of 2, 8 images on one page"
        assert page(made).title == "8 to label"
        told(made, 9001)
        assert page(made).phase == "wait"


class TestTheBest:
    def test_it_is_asked_for(self, one: MadeRun, client: FlaskClient):
        one.draw()
        one.vote(*"gbgbbbbb")
        assert (page(one).phase, page(one).awaited) == ("wait", "one question comes")
        before = page(one).batch
        one.store.asked(one.run, 77)
        assert (page(one).phase, page(one).title) == ("label", "which is the best?")
        assert page(one).line == ("epoch 1 of 2, one question left: which of 2 images is the best?")
        assert page(one).batch != before
        told(one, 9001)
        assert (page(one).phase, page(one).title) == ("wait", "nearly there")

    def test_a_page_that_cannot_ask_says_what_to_do(self, one: MadeRun, client: FlaskClient):
        one.draw()
        one.vote(*"gbgbbbbb")
        one.store.note(one.run, "Call an image the best in the Data Manager.")
        assert (page(one).phase, page(one).title) == ("held", "best is missing")
        seen = get(client, f"/runs/{one.id}/label")
        assert "Call an image the best" in seen.text
        assert "waiting for somebody to say which of 2 good images is the best" in seen.text
        assert f"{one.run.project_url}/data" in seen.links


class TestSeveralPeople:
    def test_they_are_told_to_stay(self, settings: Settings, store: Store, client: FlaskClient):
        made = MadeRun(settings, store, annotators_per_image=2)
        made.draw()
        made.vote("gg", "g-", "g-", "t-")
        assert page(made).line == "epoch 1 of 2, 1 of 4 labelled, best: chosen"
        text = get(client, f"/runs/{made.id}/label").text
        assert "Label Studio has nothing left for me" in text
        assert "5 of 8 votes" in text

    def test_whose_part_is_done_sees_whom_the_batch_waits_for(self, settings, store, client):
        made = MadeRun(settings, store, annotators_per_image=2)
        made.draw()
        made.vote("gg", "b-", "t-", "b-")
        ann, ben, nobody = (
            read_labelling_page(settings, store, made.id, f"{name}@example.com")
            for name in ("ann", "ben", "dot")
        )
        assert [each.phase for each in (ann, ben, nobody)] == ["rest", "label", "label"]
        assert [each.reader.left for each in (ann, ben, nobody)] == [0, 3, None]
        assert ann.title == "done, others still label"
        assert ann.rest == "3 of 4 images still need 3 votes. Waiting for ben@example.com"
        text = get(client, f"/runs/{made.id}/label?me=ann@example.com").text
        assert "Your part of epoch 1 of 2 is done." in text
        made.vote("--", "-b")
        assert read_labelling_page(settings, store, made.id, "ben@example.com").nears_end

    def test_somebody_may_say_that_nothing_is_left(self, settings, store: Store):
        made = MadeRun(settings, store, annotators_per_image=2)
        made.draw()
        made.vote("g", "b")
        here = page(made).place
        assert read_labelling_page(settings, store, made.id, done=here).phase == "rest"
        assert read_labelling_page(settings, store, made.id, done="3-9").phase == "label"

    def test_whoever_labels_alone_has_images_open_elsewhere(
        self, one: MadeRun, settings, store: Store
    ):
        one.draw()
        one.vote("g", "b")
        page = read_labelling_page(settings, store, one.id, "ann@example.com")
        assert page.phase == "label"
        page = read_labelling_page(settings, store, one.id, "ann@example.com", "3-0")
        assert (page.phase, page.title) == ("rest", "6 open elsewhere")
        assert page.rest == "6 of 8 images still need a label"
        page = read_labelling_page(settings, store, one.id, done="3-0")
        assert page.rest == "6 of 8 images still need a label"


class TestHttp:
    def test_only_label_studio_may_stand_in_the_frame(self, one: MadeRun, client: FlaskClient):
        one.draw()
        answer = client.get(f"/runs/{one.id}/label")
        assert "frame-src http://127.0.0.1:1" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "frame-src" not in client.get("/runs").headers["Content-Security-Policy"]

    def test_it_asks_for_one_task_after_the_other(self, one: MadeRun, settings: Settings):
        assert stream(settings, one.run) == (
            "http://127.0.0.1:1/user/login/?next=%2Fprojects%2F3%2Fdata%2F%3Flabeling%3D1"
        )

    def test_nothing_is_sent_while_nothing_changes(self, one: MadeRun, client: FlaskClient):
        one.draw()
        tag = client.get(f"/runs/{one.id}/label").headers["ETag"]
        again = client.get(f"/runs/{one.id}/label", headers={"If-None-Match": tag})
        assert again.status_code == 304
        one.vote("g")
        changed = client.get(f"/runs/{one.id}/label", headers={"If-None-Match": tag})
        assert changed.status_code == 200

    def test_latest_is_a_name_too(self, one: MadeRun, client: FlaskClient):
        answer = client.get("/runs/latest/label")
        assert answer.headers["Location"] == f"/runs/{one.id}/label"

    def test_a_page_that_waits_long_ends_asking(self, one: MadeRun, clock: Clock):
        for _ in range(2):
            one.go_round(*"gtbbbbbb")
        clock.now += timedelta(minutes=11)
        assert page(one).seconds is None
