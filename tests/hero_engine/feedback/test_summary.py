import pytest

from hero_engine.feedback.summary import FeedbackSummary
from hero_engine.storage.batch import Feedback


def summary(good, bad, unjudged=0):
    verdicts = (True,) * good + (False,) * bad + (None,) * unjudged
    return FeedbackSummary.of(Feedback(verdicts, best=0))


@pytest.mark.parametrize(
    ("good", "bad", "scale"),
    [(32, 32, 1.0), (60, 4, 1.0), (62, 2, 0.5), (63, 1, 0.25), (1, 63, 0.25), (4, 60, 1.0)],
)
def test_the_step_shrinks_with_the_rarer_kind(good, bad, scale):
    assert summary(good, bad).learning_rate_scale(1 / 16) == pytest.approx(scale)
    assert summary(good, bad).learning_rate_scale(0.0) == 1


def test_unjudged_images_do_not_count():
    assert summary(31, 1, unjudged=32).learning_rate_scale(1 / 16) == pytest.approx(0.5)
    assert summary(31, 1, unjudged=32).judged == 32


def test_an_ordinary_batch_needs_no_note():
    assert summary(30, 34).nothing_to_learn(has_anchor=True) == ""
    assert summary(30, 34).unusual(1 / 16) == ""


def test_notes_say_what_was_done():
    assert summary(62, 2).unusual(1 / 16) == (
        "Only 2 of 64 judged images are bad, so the update was made with 0.50 of the learning rate."
    )
    assert "Only 1 of 64 judged images is good" in summary(1, 63).unusual(1 / 16)
    without_best = FeedbackSummary.of(Feedback((True, False)))
    assert "an earlier epoch's best stayed the anchor" in without_best.unusual(1 / 16)
