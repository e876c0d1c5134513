"""The whole run as one page, as the backend shows it."""

from pathlib import Path

from backend.dashboard.report import report
from backend.exports.source import Source


def write(source: Source, format: str, path: Path) -> None:
    """Write the report."""
    if not source.annotations:
        raise source.nothing("nobody has labelled anything yet", "label it first")
    path.write_text(report(source.settings, source.store, source.run), encoding="utf-8")
