"""Imports what a worker and a web process need, and draws once, so that a fork of this process
begins at once. Named to the fork server, which does it before its first fork."""

import backend.web.app
import backend.worker.loop  # noqa: F401
from backend import engine
from hero_engine import Feedback, Method
from tests.chaos.settings import configuration

for number in range(2):
    method = Method.create(engine.read_config(configuration(number)))
    method.learn(method.generate(), Feedback((True, False, True, False), 0))
