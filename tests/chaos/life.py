"""One life: a home folder with its database, workers, web process, people and runs."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from backend.errors import DiskFull, LabelStudioError, StoreError, WrongState
from backend.local.processes import free_port
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import Event, State
from backend.settings import Settings, ensure_secrets
from backend.starting.start_run import start_run
from backend.store import Store
from tests.chaos.clocks import Clock
from tests.chaos.damage import Harm, damage
from tests.chaos.databases import Database, Postgresql, Sqlite
from tests.chaos.disk import Disk
from tests.chaos.faults import Fault, faults
from tests.chaos.faulty_proxy import FaultyProxy
from tests.chaos.invariants import FAILED, GOES_ON, LIVES, MENDED, Broken, Invariants
from tests.chaos.label_studio import RealLabelStudio
from tests.chaos.later import Later
from tests.chaos.ledger import Ledger
from tests.chaos.people import Person
from tests.chaos.processes import Process
from tests.chaos.settings import RUNS, configuration
from tests.chaos.undisturbed import Undisturbed
from tests.postgres import Postgres

Made = TypeVar("Made")

WORKERS = 2
LEASE_SECONDS = 4
PAUSES = (0.1, 0.6)
"""Seconds between two faults."""
GOES_ON_SECONDS = 150
PUT_IN_ORDER_SECONDS = 40


@dataclass
class Counts:
    """What has happened in a life."""

    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    rounds: int = 0
    runs: int = 0
    seconds: float = 0.0


class Life:
    """Everything of one life; `live` it, and leave the block to end it."""

    def __init__(
        self,
        name: str,
        rng: random.Random,
        label_studio: RealLabelStudio,
        server: Postgres | None,
        folder: Path,
    ) -> None:
        self.label_studio, self.counts, self._rng = label_studio, Counts(), rng
        self._exit = ExitStack()
        self.later = self._exit.enter_context(Later())
        self._folder = folder
        self.disk = Disk(label_studio.files_root / name)
        self._exit.callback(self.disk.close)
        home = self.disk.place / "home"
        self.database: Database = Postgresql(server, name) if server else Sqlite(home)
        self.proxy = self._exit.enter_context(FaultyProxy(label_studio.url))
        self.settings = ensure_secrets(
            Settings(
                home=home,
                database_url=self.database.url,
                label_studio_url=label_studio.url,
                label_studio_api_key=SecretStr(label_studio.token),
                local_files_root=label_studio.files_root,
                port=free_port(),
            )
        )
        self.store = Store.open(self.settings)
        self._exit.callback(self.store.close)
        folder.mkdir(parents=True)
        self.clock = Clock(folder / "clock")
        self._damaged: dict[str, list[Path]] = {}
        self._repaired = ""
        self.workers = [self._process(f"worker-{n}", "backend.worker") for n in range(WORKERS)]
        self.web = self._process("web", "backend.web")
        self.ledger = Ledger()
        self.people = [
            Person(n, member, self.ledger, self.transition, random.Random(rng.random()))
            for n, member in enumerate(label_studio.members)
        ]
        self._undisturbed: dict[str, Undisturbed] = {}
        self._invariants = Invariants(
            self.settings,
            self.store,
            label_studio,
            self.ledger,
            self._undisturbed,
            folder,
        )
        self._faults = faults(self)

    def __enter__(self) -> "Life":
        return self

    def __exit__(self, *error: object) -> None:
        self.heal()
        for person in self.people:
            person.end()
        for process in self._processes:
            process.kill()
        if self.counts.broken:
            shutil.copytree(self.settings.home, self._folder / "home", dirs_exist_ok=True)
        self._exit.close()

    def live(self, rounds: int, tried: int, on_round: Callable[[Counts], None]) -> None:
        """Some rounds of faults, each with a recovery after which the invariants are looked at.

        Args:
            tried: faults in a round on average; some cannot happen when their turn comes.
        """
        began = time.monotonic()
        for process in self._processes:
            process.start()
        for person in self.people:
            person.start()
        for _ in range(rounds):
            self._start_runs()
            self._disturb(tried)
            self.heal()
            self._recover()
            self._repair()
            self.counts.broken += self._look()
            self.counts.rounds += 1
            self.counts.seconds = time.monotonic() - began
            on_round(self.counts)
        for person in self.people:
            self.counts.faults.update(person.done)

    def row(self) -> dict[str, Any]:
        """What has happened, as JSON."""
        counts = self.counts
        return {
            "kills": dict(counts.kills),
            "faults": dict(counts.faults),
            "broken": [asdict(each) for each in counts.broken],
            "rounds": counts.rounds,
            "seconds": counts.seconds,
            "labels": self.ledger.count,
            "epochs": sum(run.epoch for run in self.runs()),
            "broken_answers": dict(self.proxy.broken),
            "full_disks": self.disk.can_be_full,
        }

    def runs(self) -> list[Run]:
        """As the store knows them."""
        return self._patiently(self.store.runs)

    def transition(self, run: Run, event: Event) -> None:
        """Let an event happen to a run, as a command does; nothing where it may not happen."""
        try:
            self._patiently(lambda: self.store.transition(run.id, event))
        except WrongState:
            return

    def heal(self) -> None:
        """End every trouble but damaged files, and wait until all servers answer."""
        self.later.finish()
        self.proxy.heal()
        self.label_studio.wait()

    def damage(self, run: Run, harm: Harm, rng: random.Random) -> bool:
        """Damage a file of a run; False if there was none."""
        path = damage(self.settings, run.id, harm, rng)
        if path is not None:
            self._damaged.setdefault(run.id, []).append(path)
        return path is not None

    # -- a round ---------------------------------------------------------------------------

    def _start_runs(self) -> None:
        ready = f"{self.settings.backend_url}/ready"
        while not self._answers(ready):
            self._wait(0.2)
        unfinished = [run for run in self.runs() if run.state is not State.finished]
        for _ in range(RUNS - len(unfinished)):
            number, self.counts.runs = self.counts.runs, self.counts.runs + 1
            plan = Labelling(annotators_per_image=1 + number % 2)
            start = partial(start_run, self.settings, self.store, configuration(number))
            run = self._patiently(partial(start, labelling=plan))
            home = self._folder / "undisturbed"
            self._undisturbed[run.id] = Undisturbed(home, run)

    def _disturb(self, tried: int) -> None:
        weights = [fault.weight for fault in self._faults]
        for _ in range(self._rng.randint(tried * 2 // 3, tried * 4 // 3)):
            self._wait(self._rng.uniform(*PAUSES))
            [fault] = self._rng.choices(self._faults, weights)
            self._let(fault)

    def _let(self, fault: Fault) -> None:
        if fault.act(self, self._rng):
            (self.counts.kills if fault.kill else self.counts.faults)[fault.name] += 1

    def _recover(self) -> None:
        before = {run.id: (run.epoch, run.state) for run in self.runs()}
        until = time.monotonic() + GOES_ON_SECONDS
        standing = set(before)
        while standing and time.monotonic() < until:
            self._wait(0.3)
            for run in self.runs():
                if (run.epoch, run.state) != before[run.id] or run.state is State.finished:
                    standing.discard(run.id)
        for run in self.runs():
            if run.id in standing:
                said = f"{run.id} stays at {run.state} of epoch {run.epoch}: {run.error}"
                self.counts.broken.append(Broken(GOES_ON, said))

    def _repair(self) -> None:
        """What people do where files were damaged that no worker needs: `hero repair`."""
        with self._people_resting():
            for run_id, paths in self._damaged.items():
                self._repair_run(run_id, paths)
        self._damaged.clear()

    def _repair_run(self, run_id: str, paths: list[Path]) -> None:
        run = next(run for run in self.runs() if run.id == run_id)
        self._repaired = run_id
        self.transition(run, Event.pause)
        repair = self._process(f"repair-{run_id}", "tests.chaos.repair", HERO_REPAIR=run_id)
        repair.start()
        until = time.monotonic() + GOES_ON_SECONDS
        while repair.alive and time.monotonic() < until:
            self._wait(0.2)
        if repair.alive or repair.ended_by_itself != 0:
            said = f"{run_id}, {[str(path) for path in paths]}: see {repair.log}"
            self.counts.broken.append(Broken(MENDED, said))
        repair.kill()
        self._repaired = ""
        self.transition(run, Event.resume)
        self._invariants.files_made_again(run_id)

    def _look(self) -> list[Broken]:
        """What stays broken while people rest."""
        with self._people_resting():
            found = self._invariants.look()
            until = time.monotonic() + PUT_IN_ORDER_SECONDS
            while found:
                last = time.monotonic() > until  # however long a look took, there is another one
                self._wait(1)
                found = self._invariants.look()
                if last:
                    break
        return found

    @contextmanager
    def _people_resting(self) -> Iterator[None]:
        with ExitStack() as resting:
            for person in self.people:
                resting.enter_context(person.gate)
            yield

    # -- keeping everything up -------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            self._tick()
            if (left := until - time.monotonic()) <= 0:
                return
            time.sleep(min(left, 0.1))

    def _tick(self) -> None:
        """What a supervisor and the people who look after the runs do."""
        self.label_studio.keep_up()
        for process in self._processes:
            if process.alive:
                continue
            if (status := process.ended_by_itself) is not None:
                said = f"{process.name} ended with status {status}"
                self.counts.broken.append(Broken(LIVES, said))
            process.start()
        runs = self.runs()
        for run in runs:
            if run.state is State.failed and run.id != self._repaired:
                if run.project_id not in self.ledger.gone_projects:
                    self.counts.broken.append(Broken(FAILED, f"{run.id}: {run.error}"))
                self.transition(run, Event.resume)
        for person in self.people:
            person.tell(runs, self._frozen_epochs(runs))

    def _answers(self, address: str) -> bool:
        try:
            return httpx.get(address, timeout=5).is_success
        except httpx.TransportError:
            return False

    def _frozen_epochs(self, runs: list[Run]) -> set[tuple[str, int]]:
        return {
            (run.id, epoch.epoch)
            for run in runs
            for epoch in self._patiently(partial(self.store.epochs, run.id))
            if epoch.labelled_at is not None
        }

    @property
    def _processes(self) -> list[Process]:
        return [*self.workers, self.web]

    def _process(self, name: str, module: str, **more: str) -> Process:
        env = {
            **more,
            **self.clock.environment,
            "HERO_HOME": str(self.settings.home),
            "HERO_DATABASE_URL": self.database.url,
            "HERO_PORT": str(self.settings.port),
            "HERO_POLL_SECONDS": "1",
            "HERO_LEASE_SECONDS": str(LEASE_SECONDS),
            "HERO_SAMPLE_ROW": "1",
            "HERO_LOCAL_FILES_ROOT": str(self.settings.files_root),
            "LABEL_STUDIO_URL": self.proxy.url,
            "LABEL_STUDIO_PUBLIC_URL": self.label_studio.url,
            "LABEL_STUDIO_API_KEY": self.label_studio.token,
        }
        return Process(name, module, env, self._folder / f"{name}.log")

    def _patiently(self, attempt: Callable[[], Made]) -> Made:
        """Of people and supervisors, who try again while something is in trouble."""
        until = time.monotonic() + 60
        while True:
            try:
                return attempt()
            except WrongState:
                raise
            except (StoreError, DiskFull, LabelStudioError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
