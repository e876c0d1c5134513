"""Filters of Label Studio's Data Manager, as its API takes them. Pure."""

import json
from typing import Any

Filter = dict[str, Any]


def _filter(column: str, operator: str, kind: str, value: object) -> Filter:
    name = f"filter:tasks:{column}"
    return {"filter": name, "operator": operator, "type": kind, "value": value}


def by_key(operator: str, value: str) -> Filter:
    """By the tasks' keys, their `hero_image_id`."""
    return _filter("data.hero_image_id", operator, "String", value)


UNFINISHED = _filter("completed_at", "empty", "Datetime", True)


def all_of(*filters: Filter) -> dict[str, Any]:
    """What meets all of them."""
    return {"conjunction": "and", "items": list(filters)}


def query(*filters: Filter) -> str:
    """The `query` by which tasks are listed that meet all of them."""
    return json.dumps({"filters": all_of(*filters)})
