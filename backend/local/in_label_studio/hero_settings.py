"""Label Studio's own settings, and what HERO adds: see the files beside this one.

For Label Studio alone, started with `DJANGO_SETTINGS_MODULE=hero_settings` and this folder in
`PYTHONPATH`. The base settings come first, since its others use Django's while they are made.
"""

from label_studio.core.settings.base import *  # noqa: F403
from label_studio.core.settings.label_studio import *  # noqa: F403
from label_studio.core.settings.label_studio import MIDDLEWARE as _THEIRS

MIDDLEWARE = [*_THEIRS, "hero_queue.NextTask", "hero_scripts.Scripts"]
