"""The body of a request, read with limits: whatever was sent, it is JSON that we take, or 4xx."""

import json
import math
import re
import threading
from typing import Any

from flask import Request

from backend.errors import BadWebhook, BodyTooLarge, WrongMediaType

MAX_BODY_BYTES = 4 * 2**20
"""Label Studio asks for predictions on a whole page of tasks at once: well below 1 MB."""
MAX_VALUES = 200_000
"""Numbers, texts, lists and objects in one body; each takes up to a hundred bytes of memory."""
MAX_ITEMS = 20_000
"""In one list or object."""
MAX_DEPTH = 40

_LARGEST = 2**63
_ONE_AT_A_TIME = threading.Lock()
"""Bodies are parsed in turn, so that eight large ones do not take eight times the memory."""


def read_json(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries.

    Integers fit in 64 bits, numbers are finite, texts hold neither NUL nor lone surrogates, so that
    every database takes them.

    Raises:
        WrongMediaType: it does not say that it is JSON, as a form of a foreign page cannot.
        BodyTooLarge: more bytes, values or items than we take.
        BadWebhook: it is no JSON object, or holds what no database takes.
    """
    if request.mimetype != "application/json":
        raise WrongMediaType(
            f"Refused {request.path}: its body is not said to be JSON; send it with "
            "`Content-Type: application/json`."
        )
    with _ONE_AT_A_TIME:
        body = _parsed(request.get_data(cache=False), request.path)
    if not isinstance(body, dict):
        raise BadWebhook(f"Cannot read the request to {request.path}: its body is no JSON object.")
    return body


def project_id(text: object) -> int | None:
    """The project that Label Studio means by `<project id>.<time of its making>`; None for none."""
    number, _, _ = str(text or "").partition(".")
    fits = number.isascii() and number.isdecimal() and len(number) < 19
    return int(number) if fits else None


def _parsed(content: bytes, path: str) -> Any:
    # Each value is followed by one of these, or is the last one.
    if len(re.findall(rb"[,\[{]", content)) > MAX_VALUES:
        raise BodyTooLarge(
            f"Refused the request to {path}: it has more than {MAX_VALUES} values; send less at "
            "once."
        )
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadWebhook(
            f"Cannot read the request to {path}: its body is no JSON that we can read."
        ) from error
    _check(body, path)
    return body


def _check(body: Any, path: str) -> None:
    level, depth = [body], 0
    while level:
        if depth > MAX_DEPTH:
            raise BadWebhook(
                f"Cannot read the request to {path}: its JSON is nested more than {MAX_DEPTH} deep."
            )
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict | list):
                if len(value) > MAX_ITEMS:
                    raise BodyTooLarge(
                        f"Refused the request to {path}: it has a list of more than {MAX_ITEMS} "
                        "items; send less at once."
                    )
                below.extend(value)
                if isinstance(value, dict):
                    below.extend(value.values())
            elif not _storable(value):
                raise BadWebhook(
                    f"Cannot read the request to {path}: it holds a number or a text that no "
                    "database takes."
                )
        level, depth = below, depth + 1


def _storable(value: object) -> bool:
    if isinstance(value, int):
        return -_LARGEST <= value < _LARGEST
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\0" not in value and (value.isascii() or not _LONE.search(value))
    return True


_LONE = re.compile("[\ud800-\udfff]")
