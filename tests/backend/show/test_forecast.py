import pytest

from backend.show.forecast import batch_sizes, in_words
from tests.backend.fake_engine import FORECAST


@pytest.mark.parametrize(
    ("drawing", "learning", "words"),
    [
        (0.1, 0.2, "about 1 s"),
        (61.4, 28.0, "about 89 s"),
        (61.4, 29.0, "about 2 min"),
        (240.0, 130.0, "about 6 min"),
        (3600.0, 1700.0, "about 88 min"),
        (3600.0, 1900.0, "about 2 h"),
    ],
)
def test_a_duration_that_people_can_picture(drawing, learning, words):
    seconds = {"drawing_seconds": drawing, "learning_seconds": learning}
    assert in_words({**FORECAST, **seconds}) == f"{words} an epoch, 9.1 GB of 12"


def test_what_goes_at_once():
    assert batch_sizes(FORECAST) == "4 images and 20 latents at once"
    few = {**FORECAST, "images_at_once": 1, "latents_at_once": 1}
    assert batch_sizes(few) == "1 image and 1 latent at once"
    assert batch_sizes({**FORECAST, "latents_at_once": None}) == "4 images at once"
