"""The faults: what can happen to a life, how often, and how."""

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from backend.run.states import Event
from tests.chaos.clocks import Clock
from tests.chaos.damage import Harm
from tests.chaos.faulty_proxy import STATUSES, Breaking, Trigger
from tests.chaos.people import Wish

if TYPE_CHECKING:
    from tests.chaos.life import Life

Act = Callable[["Life", random.Random], bool]
"""False if it could not happen."""


@dataclass(frozen=True)
class Fault:
    """Something that happens to a life."""

    name: str
    weight: float
    act: Act
    kill: bool = False


def faults(life: "Life") -> list[Fault]:
    """All that can happen to this life."""
    found = [
        Fault("worker killed", 14, _kill_worker, kill=True),
        Fault("both workers killed", 4, _kill_workers, kill=True),
        _at_request("worker killed before its request", after=False),
        _at_request("worker killed after its request", after=True),
        Fault("web process killed", 2, _kill_web, kill=True),
        Fault("Label Studio killed", 0.4, _kill_label_studio, kill=True),
        Fault("worker stopped and woken up", 4, _freeze_worker),
        Fault("web process stopped and woken up", 1, _freeze_web),
        Fault("Label Studio stopped and woken up", 1, _freeze_label_studio),
        Fault("run paused and resumed", 1, _pause_and_resume),
        Fault("workers' clock set", 2, _set_our_clock),
        Fault("Label Studio's clock set", 2, _set_label_studios_clock),
        *(Fault(harm, 1, _damage(harm)) for harm in Harm),
        *(Fault(f"answers: {how}", 0.9, _broken_answers(how)) for how in (*Breaking, *STATUSES)),
        *(Fault(wish, weight, _wish(wish)) for wish, weight in _WISHES.items()),
    ]
    troubles = life.database.troubles()
    found += [Fault(name, 5 / len(troubles), _database_trouble(name)) for name in troubles]
    if life.disk.can_be_full:
        found.append(Fault("disk full", 2, _full_disk))
    return found


_WISHES = {
    Wish.delete_task: 1.0,
    Wish.delete_project: 0.4,
    Wish.late_change: 1.0,
    Wish.late_deletion: 0.5,
    Wish.late_label: 0.5,
}


def _kill_worker(life: "Life", rng: random.Random) -> bool:
    return rng.choice(life.workers).kill()


def _kill_workers(life: "Life", rng: random.Random) -> bool:
    return any([worker.kill() for worker in life.workers])


def _at_request(name: str, *, after: bool) -> Fault:
    def act(life: "Life", rng: random.Random) -> bool:
        def kill(port: int) -> None:
            for worker in life.workers:
                if worker.alive and port in _ports(worker.pid):
                    worker.signal(signal.SIGKILL)
                    life.counts.kills[name] += 1

        life.proxy.at_next_request(Trigger(kill, after, writing=rng.random() < 0.6))
        return False  # counted when it is done

    return Fault(name, 8, act)


def _ports(pid: int) -> set[int]:
    try:
        return {each.laddr.port for each in psutil.Process(pid).net_connections("tcp")}
    except psutil.Error:
        return set()


def _kill_web(life: "Life", rng: random.Random) -> bool:
    return life.web.kill()


def _kill_label_studio(life: "Life", rng: random.Random) -> bool:
    return life.label_studio.kill()


def _freeze_worker(life: "Life", rng: random.Random) -> bool:
    return _freeze(life, rng.choice(life.workers).signal, rng.uniform(1, 8))


def _freeze_web(life: "Life", rng: random.Random) -> bool:
    return _freeze(life, life.web.signal, rng.uniform(1, 4))


def _freeze_label_studio(life: "Life", rng: random.Random) -> bool:
    return _freeze(life, life.label_studio.signal, rng.uniform(0.5, 3))


def _freeze(life: "Life", send: Callable[[signal.Signals], bool], seconds: float) -> bool:
    if not send(signal.SIGSTOP):
        return False
    life.later(seconds, lambda: send(signal.SIGCONT))
    return True


def _pause_and_resume(life: "Life", rng: random.Random) -> bool:
    run = rng.choice(life.runs())
    life.transition(run, Event.pause)
    life.transition(run, Event.resume)
    return True


def _set_our_clock(life: "Life", rng: random.Random) -> bool:
    return _set(life, life.clock, rng)


def _set_label_studios_clock(life: "Life", rng: random.Random) -> bool:
    return _set(life, life.label_studio.clock, rng)


def _set(life: "Life", clock: Clock, rng: random.Random) -> bool:
    """Forward or back, and after some seconds right again, which is the other way."""
    wrong = rng.choice([-1, 1]) * rng.choice([2, 20, 300, 3600])
    clock.set(wrong)
    life.later(rng.uniform(1, 8), lambda: clock.set(0))
    return True


def _damage(harm: Harm) -> Act:
    def act(life: "Life", rng: random.Random) -> bool:
        return life.damage(rng.choice(life.runs()), harm, rng)

    return act


def _broken_answers(how: Breaking | int) -> Act:
    def act(life: "Life", rng: random.Random) -> bool:
        life.proxy.break_answers(how)
        life.later(rng.uniform(0.3, 2), life.proxy.heal)
        return True

    return act


def _wish(wish: Wish) -> Act:
    def act(life: "Life", rng: random.Random) -> bool:
        rng.choice(life.people).wish(wish)
        return False  # counted when it is done

    return act


def _database_trouble(name: str) -> Act:
    def act(life: "Life", rng: random.Random) -> bool:
        life.database.troubles()[name](rng, life.later)
        return True

    return act


def _full_disk(life: "Life", rng: random.Random) -> bool:
    life.disk.fill()
    life.later(rng.uniform(0.5, 3), life.disk.free)
    return True
