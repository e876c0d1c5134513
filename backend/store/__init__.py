"""The only place that talks SQL: runs, epochs, images, annotations, comparisons, jobs.

Every change of state is one transaction that compares (state, version) before it writes. A worker
holds a run by a lease; the lease's fencing token is compared at every commit, so that a worker
that was taken for dead, or whose run was paused, cannot write any more.
"""

from typing import Self

from backend.run.records import Annotation, Claim, Epoch, Hint, Image, Run
from backend.settings import Settings
from backend.store.comparisons import Comparisons
from backend.store.jobs import Jobs
from backend.store.labels import Labels
from backend.store.leases import Leases
from backend.store.measures import Measuring
from backend.store.runs import LATEST
from backend.store.steps import Steps

__all__ = ["LATEST", "Annotation", "Claim", "Epoch", "Hint", "Image", "Run", "Store"]


class Store(Labels, Leases, Steps, Comparisons, Jobs, Measuring):
    """The database of one home folder, or one that several machines share."""

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """See `Database.open`; links to projects lead to where Label Studio stands now."""
        store = super().open(settings)
        if settings.public_label_studio_url:
            store.move_projects(f"{settings.public_label_studio_url}/projects/")
        return store
