"""What `hero up` leaves on the disk and opens on the network, for other accounts of the machine."""

import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.settings import Settings
from tests.e2e.terminal import Terminal, wait

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]


@pytest.fixture
def terminal(tmp_path: Path, empty_label_studio: Path) -> Iterator[Terminal]:
    """`hero up` runs, on a home folder that an earlier version had left open to all."""
    home = tmp_path / "home"
    shutil.copytree(empty_label_studio, home / "label-studio")
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    opened = Terminal(home)
    opened.up("hero up")
    yield opened
    opened.close()


def test_nobody_else_enters(terminal: Terminal):
    log = terminal.home.parent / "up.log"
    assert wait(lambda: "/login?token=" in log.read_text())
    shown = log.read_text()
    [link] = re.findall(r"^http\S+/login\?token=\S+$", shown, re.M)
    pages = Settings.load(terminal.home).page_url()
    for way_in in (link, terminal.run("hero link").strip()):
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as browser:
            assert browser.get(pages).status_code == 401
            assert browser.get(way_in).url == pages
            assert browser.get(pages).status_code == 200
        with httpx.Client(trust_env=False, timeout=60) as another:
            assert another.get(way_in).status_code == 401
            assert another.get(pages).status_code == 401

    terminal.run("hero start --prompt '1 hand' --set images_per_epoch=2 --set epochs=1")
    assert stat.S_IMODE(terminal.home.stat().st_mode) == 0o700
    inside = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in terminal.home.iterdir()}
    assert {"env", "hero.db", "logs", "label-studio"} <= inside.keys()
    assert {name for name, mode in inside.items() if mode & 0o077} <= {"images"}
    logs = [stat.S_IMODE(path.stat().st_mode) for path in (terminal.home / "logs").iterdir()]
    assert set(logs) == {0o600}
