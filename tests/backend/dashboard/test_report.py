"""The report."""

from backend.dashboard.report import report
from backend.settings import Settings
from tests.backend.dashboard.reading import Page
from tests.backend.made_runs import MadeRun


class TestReport:
    def test_one_file_that_needs_nothing_else(self, settings: Settings, made: MadeRun):
        made.go_round("gg", "tt", "bb", "bb")
        made.sample_rows(3)
        html = report(settings, made.store, made.run)
        page = Page(html)
        assert len(page.sources) > 8 + 12
        assert all(source.startswith("data:") for source in page.sources)
        outside = [link for link in page.links if not link.startswith("#")]
        assert outside == []
        assert {"epoch-1", "epoch-2"} <= set(page.ids)
        assert "ben@example.com" in html
        assert html.endswith("</html>")
