"""Finished runs: one packed file per benchmark, and one small file per run until it is packed.

`results/tables.runs.jsonl.gz` has all runs of `benchmarks.tables`, sorted by name, one per line. It
is committed. A run that ends while the benchmark goes on is a file of its own in
`results/tables.parts/`, which git ignores; when the benchmark is complete its parts are packed.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

Row = dict[str, Any]
"""What one run measured; JSON."""
Spec = dict[str, Any]
"""All that decides a row; JSON."""


def slug(text: str) -> str:
    """`1 hand` as a part of a file's name: `1-hand`; `hand/hero+` is `hand-hero-plus`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("+", " plus")).strip("-")


class Run(NamedTuple):
    """A finished run."""

    spec: Spec
    row: Row


@dataclass(frozen=True)
class KeptRuns:
    """The finished runs of one benchmark, by name. It holds paths alone, so that it can be sent to
    another process."""

    packed: Path
    parts: Path

    @classmethod
    def beside(cls, result: Path) -> KeptRuns:
        """Those of the benchmark that writes this result file."""
        return cls(
            packed=result.with_name(f"{result.stem}.runs.jsonl.gz"),
            parts=result.with_name(f"{result.stem}.parts"),
        )

    def find(self, name: str) -> list[Run]:
        """The runs of that name: a part first, since it is newer, then the packed one."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            found.append(_from_json(self._part(name).read_text())[1])
        if packed := self._read().get(name):
            found.append(packed)
        return found

    def all(self) -> dict[str, Run]:
        """Every run, by name; a part before the packed one of its name."""
        parts = (_from_json(part.read_text()) for part in self.parts.glob("*.json"))
        return {**self._read(), **dict(parts)}

    def add(self, name: str, run: Run) -> None:
        """Keep a run as a part; one of the same name is replaced."""
        part = self._part(name)
        part.parent.mkdir(parents=True, exist_ok=True)
        _replace(part, _to_json(name, run).encode())

    def pack(self) -> None:
        """Move all parts into the packed file."""
        if not self.parts.exists():
            return
        with self._lock():
            parts = sorted(self.parts.glob("*.json"))
            if parts:
                self._write({**self._read(), **dict(_from_json(p.read_text()) for p in parts)})
            for part in parts:
                part.unlink()

    def discard(self, names: Collection[str]) -> None:
        """Forget these runs."""
        for name in names:
            self._part(name).unlink(missing_ok=True)
        if any(name in self._read() for name in names):
            with self._lock():
                self._write({name: run for name, run in self._read().items() if name not in names})

    def _part(self, name: str) -> Path:
        return self.parts / f"{slug(name)}.json"

    def _lock(self) -> FileLock:
        self.parts.mkdir(parents=True, exist_ok=True)
        return FileLock(self.parts / ".lock")

    def _read(self) -> Mapping[str, Run]:
        if not self.packed.exists():
            return {}
        return _unpacked(self.packed, self.packed.stat().st_mtime_ns)

    def _write(self, runs: Mapping[str, Run]) -> None:
        """The same runs give the same bytes: no time and no file name is in the header. Without
        runs there is no file."""
        _unpacked.cache_clear()
        if not runs:
            self.packed.unlink(missing_ok=True)
            return
        lines = "".join(f"{_to_json(name, runs[name])}\n" for name in sorted(runs))
        content = io.BytesIO()
        with gzip.GzipFile("", "wb", fileobj=content, mtime=0) as file:
            file.write(lines.encode())
        _replace(self.packed, content.getvalue())


@lru_cache(maxsize=4)
def _unpacked(packed: Path, changed: int) -> dict[str, Run]:
    """The runs of a packed file, read once as long as it does not change."""
    with gzip.open(packed, "rt", encoding="utf-8") as lines:
        return dict(map(_from_json, lines))


def _to_json(name: str, run: Run) -> str:
    """The keys of a row stay in the order in which the run wrote them, as the result pages do."""
    return json.dumps({"name": name, "spec": run.spec, "row": run.row})


def _from_json(text: str) -> tuple[str, Run]:
    kept = json.loads(text)
    return kept["name"], Run(kept["spec"], kept["row"])


def _replace(path: Path, content: bytes) -> None:
    """The file is there whole or as it was."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
