import pytest

from backend.run.records import Epoch
from backend.show.run_model import RunModel, run_model


def epoch(**report: object) -> Epoch:
    return Epoch("rose", 0, None, None, None, None, {}, report or None, None, None)


def test_the_latest_report_that_keeps_a_record_counts():
    first = {"model_epoch": 1, "model_good": 0, "model_judged": 0, "good_enough": False}
    second = {"model_epoch": 1, "model_good": 60, "model_judged": 64, "good_enough": True}
    epochs = [epoch(**first), epoch(**second), epoch()]
    assert run_model(epochs) == RunModel(1, 60, 64, good_enough=True)


@pytest.mark.parametrize("epochs", [[], [epoch()], [epoch(updated=True)]])
def test_methods_without_a_record_say_nothing(epochs: list[Epoch]):
    assert run_model(epochs) is None


def test_a_judged_model_has_a_rate_with_its_interval():
    said = RunModel(2, 125, 128, good_enough=True).sentence
    assert said == (
        "The run's model is the one after epoch 2: 125 of 128 fresh images are good, "
        "98% (93 to 99)."
    )


def test_a_new_model_says_that_nobody_knows_it():
    said = RunModel(1, 0, 0, good_enough=False).sentence
    assert said == "The run's model is the one after epoch 1: nobody has judged its images yet."
    assert "the pretrained one" in RunModel(0, 1, 2, good_enough=False).sentence
