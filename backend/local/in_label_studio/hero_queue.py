"""Who labels gets no task that somebody else has open.

Label Studio keeps such tasks back, but not from its own labelling page (1.21 to 1.23): the page
sends its tab's filters and order with every question for a task, also where there are none, and
Label Studio then gives everybody the first task that is not labelled.
"""

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse


class NextTask:
    """Django's middleware: takes out of that question what is empty in it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """See Django's middleware."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        path = request.path.rstrip("/")
        asks = path.endswith("/api/dm/actions") and request.GET.get("id") == "next_task"
        if asks and request.method == "POST" and request.content_type == "application/json":
            request._body = without_what_is_empty(request.body)
        return self._get_response(request)


def without_what_is_empty(body: bytes) -> bytes:
    """The question without a filter of nothing, an order of nothing and nothing selected."""
    try:
        asked: dict[str, Any] = json.loads(body)
        if not (
            asked.get("ordering")
            or (asked.get("filters") or {}).get("items")
            or (asked.get("selectedItems") or {}).get("all")
            or (asked.get("selectedItems") or {}).get("included")
        ):
            body = json.dumps({"project": asked.get("project")}).encode()
    except (ValueError, AttributeError):
        pass  # Label Studio says what is wrong with it
    return body
