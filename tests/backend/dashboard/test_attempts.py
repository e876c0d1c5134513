"""Guessing is slow, and others are not kept out by it."""

import pytest

from backend.dashboard.attempts import ALLOWED, SECONDS_EACH, Attempts
from backend.errors import TooManyAttempts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def guesses(attempts: Attempts, address: str, seconds: float, clock: Clock) -> int:
    """How many an address can make in so many seconds, asking ten times a second."""
    made = 0
    for _ in range(int(seconds * 10)):
        try:
            attempts.check(address)
        except TooManyAttempts:
            pass
        else:
            attempts.failed(address)
            made += 1
        clock.now += 0.1
    return made


def test_a_few_at_once_and_then_one_every_few_seconds():
    clock = Clock()
    made = guesses(Attempts(clock), "10.0.0.1", 600, clock)
    assert made == pytest.approx(ALLOWED + 600 / SECONDS_EACH, abs=5)


def test_others_are_not_kept_out():
    clock = Clock()
    attempts = Attempts(clock)
    guesses(attempts, "10.0.0.1", 10, clock)
    with pytest.raises(TooManyAttempts):
        attempts.check("10.0.0.1")
    attempts.check("10.0.0.2")
    attempts.check(None)


def test_a_network_of_ipv6_is_one_address():
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(ALLOWED):
        attempts.failed(f"2001:db8::{number}")
    with pytest.raises(TooManyAttempts):
        attempts.check("2001:db8::ffff")
    attempts.check("2001:db8:0:1::1")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("backend.dashboard.attempts._REMEMBERED", 3)
    attempts = Attempts(Clock())
    for number in range(10):
        attempts.failed(f"10.0.0.{number}")
    assert len(attempts._forgiven_at) == 3
