"""Starting a run from `/runs/new`.

The checks of `hero start` need torch and Label Studio's SDK, which the web process does not load: a
process of its own does them, starts the run, and ends. The worker tries the model before the first
images, and the run's page then says what an epoch takes.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from backend.errors import BadInput, RunNotStarted, WrongState
from backend.settings import Settings
from backend.starting.offers import chosen
from backend.starting.prompts import prompt_lines
from backend.store import Store

logger = logging.getLogger(__name__)

LINES = ("prompts", "held_out")
TEXTS = ("prompt", "criteria", "title", "method", "layout", "annotators", *LINES)
NUMBERS = ("epochs", "images", "annotators_per_image")
LONGEST = 4000
LONGEST_LINES = 20_000
PATIENCE_SECONDS = 300
_ONE_AT_A_TIME = threading.Lock()
"""Each loads torch."""


def options_of(settings: Settings, store: Store, form: Mapping[str, Any]) -> dict[str, Any]:
    """What `hero start` would be told.

    Args:
        form: `prompt` is one prompt. `prompts` are further ones and `held_out` those that are only
            drawn, as lines of a file of prompts.

    Raises:
        BadInput: the form says something that it does not ask for, or a model that is not offered.
    """
    known = {*TEXTS, *NUMBERS, "model"}
    if strange := sorted(set(form) - known):
        raise BadInput(f"Cannot start the run: {', '.join(strange)} cannot be set on a page.")
    options = chosen(settings, store, str(form.get("model", ""))).options
    said: dict[str, Any] = {}
    for name, value in form.items():
        if name == "model" or value in (None, ""):
            continue
        if not isinstance(value, str if name in TEXTS else int) or isinstance(value, bool):
            kind = "text" if name in TEXTS else "whole number"
            raise BadInput(f"Cannot start the run: {name} is no {kind}.")
        longest = LONGEST_LINES if name in LINES else LONGEST
        if isinstance(value, str) and len(value) > longest:
            raise BadInput(f"Cannot start the run: {name} has more than {longest} characters.")
        said[name] = value
    lines = {name: prompt_lines(said.pop(name, "")) for name in LINES}
    if lines["prompts"] and "prompt" in said:
        lines["prompts"].insert(0, said.pop("prompt"))
    return {**options, **said, **{name: value for name, value in lines.items() if value}}


def start(settings: Settings, store: Store, form: Mapping[str, Any]) -> dict[str, Any]:
    """Start the run.

    Returns:
        {"run": its id, "said": what a person should know, a sentence each}.

    Raises:
        HeroServiceError: it was not started; nothing is left behind.
    """
    options = options_of(settings, store, form)
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise WrongState("Cannot start the run: another one is being started; try again.")
    try:
        return _started(settings, options)
    finally:
        _ONE_AT_A_TIME.release()


def _started(settings: Settings, options: Mapping[str, Any]) -> dict[str, Any]:
    try:
        other = subprocess.run(
            [sys.executable, "-m", "backend.starting"],
            input=json.dumps(options),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            env={**os.environ, "HERO_HOME": str(settings.home)},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunNotStarted(
            f"The run was not started within {PATIENCE_SECONDS} seconds; look at the list of runs "
            "before you try again.",
            504,
        ) from error
    try:
        answer: dict[str, Any] = json.loads(other.stdout)
    except json.JSONDecodeError as error:
        logger.error("starting a run failed: %s", other.stderr)
        raise RunNotStarted("The run was not started; the backend's log says why.") from error
    if "error" in answer:
        raise RunNotStarted(answer["error"], answer["status"])
    return answer
