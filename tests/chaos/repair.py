"""`hero repair` of the run that HERO_REPAIR names."""

import os

from backend.cli import app

app(["repair", os.environ["HERO_REPAIR"]])
