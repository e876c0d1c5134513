"""`python -m tests.chaos --seed 7 --minutes 10`."""

import argparse
import faulthandler
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from backend.settings import LABEL_STUDIO_VERSION
from benchmarks.kept_runs import KeptRuns, Run
from tests.chaos import results
from tests.chaos.label_studio import RealLabelStudio
from tests.chaos.life import Counts, Life
from tests.postgres import Postgres

DATABASES = ("sqlite", "postgresql")
CACHE = Path(__file__).parents[2] / ".pytest_cache" / "d" / f"label-studio-{LABEL_STUDIO_VERSION}"
"""Where the tests keep a Label Studio in which nothing has happened."""


def main() -> None:
    """Live until the time is over; lives that ended before are not lived again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5, help="of a life (5)")
    parser.add_argument("--faults", type=int, default=23, help="tried in a round, on average (23)")
    parser.add_argument("--databases", default=",".join(DATABASES))
    parser.add_argument("--out", type=Path, default=results.RESULT)
    said = parser.parse_args()
    faulthandler.register(signal.SIGUSR1)  # says where it stands
    for ends in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ends, _leave)
    kept = KeptRuns.beside(said.out)
    until = time.monotonic() + 60 * said.minutes
    with ExitStack() as exit:
        folder = Path(tempfile.mkdtemp(prefix="hero-chaos-"))
        print(f"Everything that is kept lies in {folder}", flush=True)
        server = _postgres()
        exit.callback(server.stop)
        label_studio = RealLabelStudio(folder, CACHE)
        exit.callback(label_studio.close)
        for number, database in _lives(said.databases.split(",")):
            if time.monotonic() > until:
                break
            name = f"seed {said.seed}, life {number}, {database}"
            spec = {
                "seed": said.seed,
                "life": number,
                "database": database,
                "rounds": said.rounds,
                "faults": said.faults,
            }
            if any(run.spec == spec for run in kept.find(name)):
                continue
            rng = random.Random(name)
            where = f"life-{said.seed}-{number}"
            used = server if database == "postgresql" else None
            with Life(where, rng, label_studio, used, folder / where) as life:
                life.live(said.rounds, said.faults, partial(_tell, name))
                kept.add(name, Run(spec, life.row()))
    results.write(said.out, kept, f"python -m tests.chaos {' '.join(sys.argv[1:])}".rstrip())


def _leave(*_: object) -> None:
    raise SystemExit("Ended; lives that are over are kept, and the next start goes on from there.")


def _postgres() -> Postgres:
    try:
        return Postgres()
    except pytest.skip.Exception as error:
        raise SystemExit(str(error)) from None


def _lives(databases: list[str]) -> Iterator[tuple[int, str]]:
    number = 0
    while True:
        yield number, databases[number % len(databases)]
        number += 1


def _tell(name: str, counts: Counts) -> None:
    kills, faults = sum(counts.kills.values()), sum(counts.faults.values())
    print(
        f"{name}: round {counts.rounds}, {counts.seconds:.0f} s, {kills} kills, {faults} faults, "
        f"{len(counts.broken)} broken",
        flush=True,
    )
    for each in counts.broken[-5:]:
        print(f"  {each.invariant}: {each.said[:400]}", flush=True)


main()
