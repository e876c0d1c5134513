"""The real Label Studio of all lives, as the people and the invariants see it."""

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import httpx

from backend.label_studio.browser_session import Member, invitation
from backend.local.label_studio_server import LocalLabelStudio
from backend.local.processes import free_port, stop
from tests.chaos.clocks import Clock
from tests.chaos.people import PEOPLE
from tests.label_studio_data import kept_label_studio

_PASSWORD = "open-sesame-1"


class RealLabelStudio:
    """One server in a folder of its own, started and killed."""

    def __init__(self, folder: Path, cache: Path) -> None:
        shutil.copytree(kept_label_studio(cache, folder / "first-start"), folder / "data")
        self.files_root = folder / "files"
        self.clock = Clock(folder / "label-studio.clock")
        self.server = LocalLabelStudio(
            folder / "data",
            files_root=self.files_root,
            log=folder / "label-studio.log",
            port=free_port(),
            extra_env=self.clock.python_environment,
        )
        self.server.start()
        self.url, self.token = self.server.account.url, self.server.account.token
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Token {self.token}"}, timeout=60
        )
        link = invitation(self.url, {"Authorization": f"Token {self.token}"})
        self.members = [
            Member.sign_up(self.url, link, f"person-{number}@example.com", _PASSWORD)
            for number in range(PEOPLE)
        ]

    def export(self, project_id: int) -> list[dict[str, Any]]:
        """All tasks of a project with their annotations; none if it was deleted."""
        query = {"exportType": "JSON", "download_all_tasks": "true"}
        answer = self._http.get(f"/api/projects/{project_id}/export", params=query)
        if answer.status_code == 404:
            return []
        tasks: list[dict[str, Any]] = answer.raise_for_status().json()
        return tasks

    def kill(self) -> bool:
        """SIGKILL; False if it was not there."""
        if not self.signal(signal.SIGKILL):
            return False
        self.server.child.reap()
        return True

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; False if it is not there."""
        child = self.server.child
        if not child.alive or child.pid is None:
            return False
        os.kill(child.pid, number)
        return True

    def keep_up(self) -> None:
        """Start it again if it has ended, and do not wait for it."""
        if not self.server.child.alive:
            self.server.child.start()

    def wait(self, seconds: float = 120) -> None:
        """Until it answers."""
        until = time.monotonic() + seconds
        while not self.server.healthy():
            if time.monotonic() > until:
                raise TimeoutError(f"Label Studio does not come up: {self.server.child.log}")
            self.keep_up()
            time.sleep(0.2)

    def close(self) -> None:
        """End it."""
        for member in self.members:
            member.close()
        self._http.close()
        stop([self.server.child])
