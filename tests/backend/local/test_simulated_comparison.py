"""What the simulated people say of pairs."""

import pytest

from backend.errors import BadInput
from backend.local.demo_annotators import preferred
from backend.local.simulated_comparison import judge_pairs
from tests.backend.comparing.compared import comparison
from tinyworld.annotator import Opinion


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        ((True, 1.0), (False, 6.0), "left"),
        ((False, 6.0), (True, 1.0), "right"),
        ((True, 5.0), (True, 3.0), "left"),
        ((False, 3.0), (False, 5.0), "right"),
        ((True, 5.0), (True, 4.5), "tie"),
    ],
)
def test_good_beats_bad_and_much_better_beats_better(left, right, said):
    assert preferred(Opinion(*left, seconds=0.0), Opinion(*right, seconds=0.0)) == said


def test_they_know_the_bundled_models_only(settings, store, config):
    run = store.create_run({**config, "model": "/models/sd"})
    with pytest.raises(BadInput, match="Judge the pairs yourself"):
        judge_pairs(settings, run, comparison(store, run.id))
