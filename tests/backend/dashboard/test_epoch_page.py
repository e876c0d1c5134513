"""An epoch's page: every image with its votes."""

from flask.testing import FlaskClient

from backend.settings import Settings
from backend.store import Store
from tests.backend.dashboard.reading import get
from tests.backend.made_runs import MadeRun


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

    def test_some_of_the_images_alone(self, client: FlaskClient, made: MadeRun):
        def shown(query: str) -> list[int]:
            ids = get(client, f"/runs/{made.id}/epochs/1?{query}").ids
            return [int(i.removeprefix("tile-1-")) for i in ids if i.startswith("tile-")]

        assert shown("show=good") == [0]
        assert shown("show=bad&order=reward") == [1, 2, 3]
        assert shown("show=split") == [1]
        assert shown("show=unjudged") == []
        assert shown("show=nonsense") == [0, 1, 2, 3]

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
