"""A whole run as one HTML file that opens anywhere, without a network."""

from datetime import UTC, datetime
from pathlib import Path

from backend.dashboard import charts
from backend.dashboard.facts import read_run
from backend.dashboard.links import InFile
from backend.dashboard.rendering import render
from backend.exports.target import whole
from backend.run.records import Run
from backend.settings import Settings
from backend.store import Store


def write_report(settings: Settings, store: Store, run: Run, path: Path) -> Path:
    """Writes the report, whole or not at all; an older one is replaced.

    Returns:
        `path`.

    Raises:
        TargetUnusable: nothing can be written there.
        DiskFull: there is no space.
    """
    facts = read_run(settings, store, run.id)
    html = render(
        "report.html",
        facts=facts,
        links=InFile(settings),
        success=charts.success(facts),
        learning=charts.learning(facts),
        written_at=datetime.now(UTC),
    )
    with whole(path, force=True) as partial:
        partial.write_text(html, encoding="utf-8")
    return path
