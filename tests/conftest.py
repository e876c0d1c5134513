"""For all tests."""

import os
from typing import Any

import pytest
import torch
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

UNMEASURED = ("slow", "label_studio", "browser", "postgres")

# What is equal to the last bit is so on as many cores: here, and in the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)


STARTS_HERO_UP = (
    "tests/e2e/test_demo.py",
    "tests/e2e/test_nobody_enters.py",
    "tests/e2e/test_pages.py",
    "tests/e2e/test_readme.py",
)
"""They start `hero up` or `hero demo`, one file after the other: two at once may take the same
ports."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes the tests of a file stay in one, and so do those that start `hero up`.

    Not by xdist's own groups: pytest 9.2 does not see the names that they are written into.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False  # tests/e2e has few tests that take long: not at the end
    return ByFile(config, log)


def group_of(test: str) -> str:
    """What is the same for tests that run in one process, one after the other."""
    file = test.partition("::")[0]
    return STARTS_HERO_UP[0] if file in STARTS_HERO_UP else file


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Coverage is that of the fast tests: it makes a test half as long again, and would disturb
    those that kill processes or wait for servers."""
    if not config.pluginmanager.has_plugin("_cov"):
        return
    for item in items:
        if any(item.get_closest_marker(name) for name in UNMEASURED):
            item.add_marker("no_cover")
