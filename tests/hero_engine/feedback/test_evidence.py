import numpy as np
import pytest
from scipy.special import betaln

from hero_engine.feedback.evidence import ERROR, Tally

RNG = np.random.default_rng(11)


def looks(rate: float, batch: int, epochs: int) -> bool:
    """Whether a run of so many epochs ever calls a model of this success rate good enough."""
    tally = Tally()
    for good in RNG.binomial(batch, rate, epochs):
        tally = Tally(tally.good + int(good), tally.judged + batch)
        if tally.proves(0.95):
            return True
    return False


def test_verdicts_add_up_and_what_nobody_judged_does_not_count():
    tally = Tally().add([True, None, False, True])
    assert (tally.good, tally.judged) == (2, 3)
    assert tally.rate == pytest.approx(2 / 3)
    assert Tally().add([None]).rate is None


@pytest.mark.parametrize(
    ("bad", "judged", "proven"),
    [(0, 64, False), (0, 128, True), (1, 128, True), (2, 128, False), (2, 192, True)],
)
def test_how_many_labels_a_proof_takes(bad, judged, proven):
    assert Tally(judged - bad, judged).proves(0.95) is proven


def test_the_mixture_is_the_integral_over_its_prior():
    rates = np.linspace(0.0, 1.0, 400_001)[1:-1]
    density = np.exp(59 * np.log(rates) - betaln(60, 1))
    likelihood = np.exp(126 * np.log(rates / 0.95) + 2 * np.log((1 - rates) / 0.05))
    ratio = float(np.mean(density * likelihood))
    assert Tally(126, 128).proves(0.95, error=1.001 / ratio)
    assert not Tally(126, 128).proves(0.95, error=0.999 / ratio)


@pytest.mark.parametrize(("batch", "epochs"), [(8, 60), (64, 30)])
def test_looking_after_every_epoch_does_not_lie_more_often_than_said(batch, epochs):
    runs = 800
    wrong = sum(looks(0.95, batch, epochs) for _ in range(runs)) / runs
    assert wrong <= ERROR + 0.015, "two standard errors of 800 runs"
    assert wrong > 0.005, "the rule is not so strict that it proves nothing"


@pytest.mark.parametrize(("rate", "within"), [(0.99, 192), (0.98, 384)])
def test_a_good_model_is_found_good_enough_soon(rate, within):
    runs = 200
    found = sum(looks(rate, 64, within // 64) for _ in range(runs)) / runs
    assert found > 0.6


def test_less_than_what_is_asked_for_proves_nothing():
    assert not Tally(90, 100).proves(0.95)
    assert not Tally(95, 100).proves(0.95)
    assert not Tally().proves(0.5)
