"""Tabs ("views") of Label Studio's Data Manager, as its API takes them. Pure."""

from collections.abc import Sequence
from typing import Any

from backend.label_studio import filters

_RAW = [f"tasks:data.{name}" for name in ("criteria", "reference", "images", "marks", "begun")]
"""What labelling pages are made of: the same in every task, or JSON and HTML that nobody reads."""
_HIDDEN = [
    *_RAW,
    "tasks:inner_id",
    "tasks:annotations_results",
    "tasks:annotations_ids",
    "tasks:predictions_score",
    "tasks:predictions_model_versions",
    "tasks:predictions_results",
    "tasks:file_upload",
    "tasks:storage_filename",
    "tasks:created_at",
    "tasks:updated_at",
    "tasks:updated_by",
    "tasks:avg_lead_time",
    "tasks:draft_exists",
]
_HIDDEN_WHILE_LABELLING = [
    *_HIDDEN,
    "tasks:id",
    "tasks:completed_at",
    "tasks:cancelled_annotations",
    "tasks:total_predictions",
    "tasks:annotators",
]
_HIDDEN_HERE = [
    *_HIDDEN,
    "tasks:completed_at",
    "tasks:cancelled_annotations",
    "tasks:total_predictions",
    "tasks:data.prompt",
    "tasks:data.hero_image_id",
]


def default_tab() -> dict[str, Any]:
    """The tab that Label Studio's pages make in a project that has none, without raw columns.

    Without it a tab of ours would be the first that people see, and all that they see.
    """
    return {
        "title": "Default",
        "type": "list",
        "target": "tasks",
        "filters": filters.all_of(),
        "ordering": [],
        "hiddenColumns": {"explore": _HIDDEN, "labeling": _HIDDEN_WHILE_LABELLING},
    }


def tab_of(title: str, keys: Sequence[str]) -> dict[str, Any]:
    """A tab with just the tasks of these keys, those of the latest epoch first.

    One filter by a regular expression: the pages stop working in the whole project where a filter
    has the operator `in_list`, though the API takes it, and Label Studio keeps the rows of replaced
    filters, of which a filter a task would leave thousands.
    """
    return {
        "title": title,
        "type": "list",
        "target": "tasks",
        "filters": filters.all_of(filters.by_key("regex", f"^({'|'.join(keys)})$")),
        "ordering": ["-tasks:data.epoch"],
        "hiddenColumns": {"explore": _HIDDEN_HERE, "labeling": _HIDDEN_WHILE_LABELLING},
    }
