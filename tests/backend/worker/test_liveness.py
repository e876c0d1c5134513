"""The worker's sign of life."""

import os
import subprocess
import sys
import time

from backend.worker import liveness


def _check(settings) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend.worker.liveness"],
        env={**os.environ, "HERO_HOME": str(settings.home)},
        capture_output=True,
        text=True,
    )


def test_a_worker_is_alive_while_it_leaves_signs(settings):
    assert not liveness.is_alive(settings)
    liveness.beat(settings)
    assert liveness.is_alive(settings)
    assert _check(settings).returncode == 0
    (sign,) = (settings.home / "workers").iterdir()
    long_ago = time.time() - 2 * liveness.DEAD_AFTER_SECONDS
    os.utime(sign, (long_ago, long_ago))
    assert not liveness.is_alive(settings)
    answer = _check(settings)
    assert answer.returncode == 1
    assert "no sign of life" in answer.stderr
