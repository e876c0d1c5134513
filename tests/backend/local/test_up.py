"""What `hero up` prints."""

import sys
from pathlib import Path

import pytest

from backend.local.up import _before_hero


def test_a_shell_that_does_not_know_hero_is_told_how(monkeypatch: pytest.MonkeyPatch):
    folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", "/nowhere")
    assert _before_hero() in ([f"source {folder / 'activate'}"], ["source .venv/bin/activate"])
    monkeypatch.setenv("PATH", str(folder))
    assert _before_hero() == []
