"""The gateway: the only place that talks to Label Studio (by its SDK)."""

from backend.label_studio.connection import Server
from backend.label_studio.data_manager import DataManager
from backend.label_studio.pairs import Pairs
from backend.label_studio.people import People
from backend.label_studio.projects import Project
from backend.label_studio.tasks import Tasks
from backend.label_studio.trials import Trials
from backend.label_studio.wiring import Wiring, check_backend_url
from backend.tasks.publishing import NewTask

__all__ = ["Gateway", "NewTask", "Project", "Server", "check_backend_url"]


class Gateway(Pairs, Wiring, Tasks, People, DataManager, Trials):
    """One Label Studio, with one user's token."""
