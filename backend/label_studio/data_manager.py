"""Tabs of the Data Manager: made, and kept as they should be."""

from collections.abc import Sequence

from backend.label_studio import tabs
from backend.label_studio.connection import ONCE, Connection


class DataManager(Connection):
    """What a lead sees in a project's Data Manager."""

    def show_tab(self, project_id: int, title: str, keys: Sequence[str]) -> None:
        """Make or update a tab of the Data Manager that holds just the tasks of these keys.

        Without keys none is made; one that is there is emptied.
        """
        wanted = tabs.tab_of(title, keys)
        with self._asking("look for the tabs", project_id):
            there = list(self._client.views.list(project=project_id))
        found = next((view for view in there if (view.data or {}).get("title") == title), None)
        with self._asking(f"show the tab {title}", project_id):
            if found is not None:
                if found.data.get("filters") != wanted["filters"]:
                    self._client.views.update(str(found.id), project=project_id, data=wanted)
            elif keys:
                for data in [wanted] if there else [tabs.default_tab(), wanted]:
                    self._client.views.create(project=project_id, data=data, request_options=ONCE)
