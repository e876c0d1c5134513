"""`hero`: argument parsing and one call a command."""

import os

from backend.cli import (
    agreement,
    compare,
    fleet,
    import_labels,
    importing,
    looking,
    methods,
    model,
    runs,
    start,
    teams,
    up,
)
from backend.cli.shared import app, err, out

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = [
    "agreement",
    "app",
    "compare",
    "err",
    "fleet",
    "import_labels",
    "importing",
    "looking",
    "methods",
    "model",
    "out",
    "runs",
    "start",
    "teams",
    "up",
]
