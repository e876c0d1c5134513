"""`python -m backend.starting`: starts a run for the web process, and ends.

The checks need torch, and the project Label Studio's SDK; the web process loads neither. Options
come as JSON; the answer is JSON, too.
"""

import json
import os
import sys
from typing import Any

from backend.errors import HeroServiceError
from backend.settings import Settings
from backend.starting.begin import begin, described
from backend.store import Store


def main() -> None:
    """`{"run": id, "said": [...]}`, or `{"error": sentence, "status": of HTTP}`."""
    os.umask(0o077)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    notes: list[str] = []
    try:
        settings = Settings.load()
        store = Store.open(settings)
        try:
            run = begin(settings, store, json.load(sys.stdin), note=notes.append)
        finally:
            store.close()
        answer: dict[str, Any] = {"run": run.id, "said": [*notes, *described(run)]}
    except HeroServiceError as error:
        answer = {"error": str(error), "status": error.http_status}
    print(json.dumps(answer))


main()
