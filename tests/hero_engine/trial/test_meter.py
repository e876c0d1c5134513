import time

import pytest
import torch

from hero_engine.trial.batch_size import DoesNotFit
from hero_engine.trial.meter import Measured, Meter

MEGABYTES = 200


def test_the_peak_holds_what_was_given_back():
    meter = Meter(torch.device("cpu"))
    before = meter.used_bytes
    found = meter.measure(lambda: [torch.ones(MEGABYTES * 2**20 // 4).sum() for _ in range(5)])
    assert found.peak_bytes - before > 0.9 * MEGABYTES * 2**20
    assert found.seconds > 0
    assert found.busy_seconds > 0
    assert found.peak_bytes < meter.memory_bytes
    assert 0 < meter.free_bytes < meter.memory_bytes


def test_too_much_does_not_fit():
    meter = Meter(torch.device("cpu"))
    with pytest.raises(DoesNotFit):
        meter.measure(lambda: torch.empty(2**60, dtype=torch.uint8))


def test_another_fault_is_not_taken_for_want_of_memory():
    with pytest.raises(RuntimeError, match="size"):
        Meter(torch.device("cpu")).measure(lambda: torch.ones(2) + torch.ones(3))


def test_waiting_is_no_work():
    found = Meter(torch.device("cpu")).measure(lambda: time.sleep(0.2))
    assert found.seconds >= 0.2
    assert found.busy_seconds < 0.2


def test_the_best_of_two_is_the_least_time_and_the_most_memory():
    assert Measured(3.0, 1.0, 5).at_best(Measured(2.0, 1.5, 4)) == Measured(2.0, 1.0, 5)
