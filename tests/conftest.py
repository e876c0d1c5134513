"""For all tests."""

import pytest
import torch
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

UNMEASURED = ("slow", "label_studio", "browser", "postgres")

torch.set_num_threads(1)  # what is equal to the last bit is so for batches of one shape


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Coverage is that of the fast tests: it makes a test half as long again, and would disturb
    those that kill processes or wait for servers."""
    if not config.pluginmanager.has_plugin("_cov"):
        return
    for item in items:
        if any(item.get_closest_marker(name) for name in UNMEASURED):
            item.add_marker("no_cover")
