"""What takes a run round the circle in a test."""

import time

from backend.worker.loop import Worker

VALUES = ["good", "bad", "best", "bad"]


def poll(worker: Worker) -> bool:
    time.sleep(0.002)
    return worker.poll_once()
