"""For all tests."""

import os

import pytest
import torch
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

UNMEASURED = ("slow", "label_studio", "browser", "postgres")

# What is equal to the last bit is so on as many cores: here, and in the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes the tests of a file, or of files that name one group, stay in one.

    Coverage is that of the fast tests: it makes a test half as long again, and would disturb those
    that kill processes or wait for servers.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
    if not config.pluginmanager.has_plugin("_cov"):
        return
    for item in items:
        if any(item.get_closest_marker(name) for name in UNMEASURED):
            item.add_marker("no_cover")
