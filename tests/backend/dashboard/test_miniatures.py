"""The pictures of the run pages."""

from flask.testing import FlaskClient

from backend.settings import Settings
from backend.tasks.images import image_path
from tests.backend.dashboard.reading import get
from tests.backend.made_runs import MadeRun


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


def settings_images(made: MadeRun):
    return made.settings.images_dir / made.id / "0000"
