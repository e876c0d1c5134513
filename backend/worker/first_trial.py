"""Where a new run's model is tried: by `hero start`, or else by the worker before the first images.

Batch sizes that are `auto` become numbers there, once and for all, so that the run is the same
wherever it goes on.
"""

import logging
import socket
from dataclasses import replace

from backend import engine
from backend.engine import Engine
from backend.run.records import Claim
from backend.run.states import WORK
from backend.settings import Settings
from backend.show import forecast
from backend.store import Store
from backend.worker import liveness
from backend.worker.lease import LeaseKeeper

logger = logging.getLogger(__name__)


def why_not_here(settings: Settings, store: Store) -> str | None:
    """Why a trial by this process would tell nothing of the runs, as a clause; None if it would."""
    living = liveness.living(settings)
    if living and socket.gethostname() not in living:
        return f"the worker runs on {', '.join(living)}"
    if not living and settings.database_url:
        return "no worker has left a sign of life in this home folder, so it may run elsewhere"
    busy = [run.id for run in store.runs() if run.state in WORK and run.lease_owner]
    if busy:
        return f"the worker is busy with {busy[0]}"
    return engine.gpu_held_by_others()


def decided(store: Store, tried: Engine, claim: Claim, lease: LeaseKeeper) -> Claim:
    """The claim of a run whose batch sizes are numbers: tried now if they are not."""
    run = claim.run
    if run.epoch or not engine.undecided(run.config):
        return claim
    lease.progress("trying the model", 0, 1)
    config, found = tried.try_out(run)
    lease.check()
    logger.info("run %s: %s; %s", run.id, forecast.in_words(found), forecast.batch_sizes(found))
    return replace(claim, run=store.tried(claim, config, found))
