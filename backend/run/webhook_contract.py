"""The webhooks between Label Studio and this backend: what both ends have to agree on."""

SECRET_HEADER = "X-Hero-Secret"
"""Carries HERO_WEBHOOK_SECRET."""

ANNOTATION_CREATED = "ANNOTATION_CREATED"
LABEL_ACTIONS = (
    ANNOTATION_CREATED,
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
)
"""Actions that may change what an image's verdict is."""

START_TRAINING = "START_TRAINING"
"""Sent by Label Studio's button to `<url>/webhook`, with Basic auth alone."""
