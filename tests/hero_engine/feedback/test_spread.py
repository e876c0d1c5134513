import pytest

from hero_engine.feedback.evidence import Tally
from hero_engine.feedback.spread import need, shared, spread


def test_by_hand():
    assert need(Tally(14, 16)) == pytest.approx(3 / 18)
    # 8 each; of the other 48, 3 and 11 parts of 14
    assert spread(64, [Tally(14, 16), Tally(6, 16)]) == [18, 46]


@pytest.mark.parametrize("prompts", [2, 3, 4, 7, 16])
def test_before_any_verdict_all_get_the_same(prompts):
    counts = spread(64, [Tally()] * prompts)
    assert sum(counts) == 64
    assert max(counts) - min(counts) <= 1


def test_none_is_forgotten():
    counts = spread(64, [Tally(1000, 1000)] * 3 + [Tally(0, 1000)])
    assert sum(counts) == 64
    assert counts[:3] == [4, 4, 4]
    assert spread(8, [Tally(1000, 1000), Tally(0, 1000)]) == [2, 6]


def test_fractions_go_to_the_largest_remainders():
    assert shared(10, [1.0, 1.0, 1.0]) == [4, 3, 3]
    assert shared(0, [1.0, 2.0]) == [0, 0]
