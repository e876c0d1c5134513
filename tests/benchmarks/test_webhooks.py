"""The benchmark of webhooks, with few of them."""

import random

import pytest

from benchmarks import webhooks


def test_the_webhooks_are_as_many_as_asked_for_and_in_any_order():
    bodies = webhooks.webhooks(300, random.Random(1))
    assert len(bodies) == 300
    assert len(set(bodies)) < 300, "some come twice"
    assert bodies != sorted(bodies)


@pytest.mark.slow
def test_every_webhook_is_answered_and_labels_are_read_meanwhile():
    found = webhooks.measured(200, 20)
    assert found["statuses"] == {201: 200}
    assert found["labels_read_meanwhile"] > 0
    assert found["processor_milliseconds"] > 0
    row = webhooks.sheet(found).rows[0]
    assert len(row) == len(webhooks.sheet(found).header)
