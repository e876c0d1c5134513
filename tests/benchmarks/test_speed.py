"""What an epoch of the bundled model takes of memory."""

import pytest

from benchmarks.forecast import in_a_process
from benchmarks.speed import PLUS_EPOCH, peak_memory
from hero_engine.presets import preset


@pytest.mark.slow
@pytest.mark.parametrize("part", [PLUS_EPOCH, "update"])
def test_an_epoch_of_the_bundled_model_stays_below_a_gigabyte(part):
    """On one core or two; `update` is the policy gradient's, whose passes are larger."""
    config = preset("tiny", method="hero", images_per_epoch=16, trained_steps=5)
    found = in_a_process(peak_memory, config, part)
    assert 300 < found["loaded_megabytes"] < found["peak_megabytes"] < 1000
