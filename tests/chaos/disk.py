"""A small disk of a life's own, that can be full."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

SIZE = "96m"


class Disk:
    """A tmpfs at `place`, where this user may mount one; else a plain folder that is never full."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ballast = place / "ballast"
        place.mkdir(parents=True)
        options = ["-t", "tmpfs", "-o", f"size={SIZE},mode=700", "hero-chaos"]
        mounted = subprocess.run(["mount", *options, str(place)], capture_output=True)
        self.can_be_full = mounted.returncode == 0

    def fill(self) -> None:
        """Until nothing more can be written."""
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            with suppress(OSError):
                os.posix_fallocate(descriptor, 0, self._free())
            os.lseek(descriptor, 0, os.SEEK_END)
            with suppress(OSError):
                while True:
                    os.write(descriptor, bytes(4096))
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away, with all that is on it."""
        if self.can_be_full:
            subprocess.run(["umount", "--lazy", str(self.place)], check=True)

    def _free(self) -> int:
        found = os.statvfs(self.place)
        return found.f_bavail * found.f_frsize
