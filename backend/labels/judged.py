"""Pictures that people judged before a run, from folders or from an export of Label Studio."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.consensus import BAD
from backend.errors import BadInput
from backend.run.records import Verdicts


@dataclass(frozen=True)
class Judged:
    """Pictures, each with the verdict on it."""

    source: Path
    """Where they come from, for people."""
    pictures: tuple[Path, ...]
    verdicts: Verdicts
    notes: tuple[str, ...] = ()
    """What of the source does not count, a sentence each."""

    @property
    def bad(self) -> int:
        """Number of bad pictures."""
        return sum(image.value == BAD for image in self.verdicts.images)

    @property
    def good(self) -> int:
        """Number of good pictures, the best one too."""
        return len(self.pictures) - self.bad

    def check(self) -> "Judged":
        """The same, if there is something to learn from.

        Raises:
            BadInput: no picture is good.
        """
        if not self.pictures:
            raise refused(
                self.source, "there is no judged picture in it", "name another folder or export"
            )
        if not self.good:
            raise refused(
                self.source,
                f"none of its {self.bad} pictures is good, and the good ones are what teaches",
                "add some",
            )
        return self


def refused(source: Path, why: str, what_to_do: str) -> BadInput:
    """That nothing of a source is imported."""
    return BadInput(f"Cannot import {source}: {why}; {what_to_do}.")


def shown(words: Sequence[str]) -> str:
    """Words as they were written, the first few."""
    more = f" and {len(words) - 5} more" if len(words) > 5 else ""
    return ", ".join(map(repr, words[:5])) + more
