"""A whole run as one HTML file that opens anywhere, without a network."""

from datetime import UTC, datetime

from backend.dashboard import charts
from backend.dashboard.facts import read_run
from backend.dashboard.links import InFile
from backend.dashboard.rendering import render
from backend.run.records import Run
from backend.settings import Settings
from backend.store import Store


def report(settings: Settings, store: Store, run: Run) -> str:
    """The report's HTML; its images are small copies inside it."""
    facts = read_run(settings, store, run.id)
    return render(
        "report.html",
        facts=facts,
        links=InFile(settings),
        success=charts.success(facts),
        learning=charts.learning(facts),
        written_at=datetime.now(UTC),
    )
