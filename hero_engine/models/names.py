"""Models that installed packages bring, by the names that runs give them."""

from importlib.metadata import entry_points
from pathlib import Path

GROUP = "hero_engine.models"
"""The entry point group in which a package names them."""


def bundled(name: str) -> str | None:
    """The folder of the bundled model of that name, if there is one."""
    for entry in entry_points(group=GROUP, name=name):
        return str(entry.load())
    return None


def all_bundled() -> list[str]:
    """The names of all of them, in alphabetical order."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def resolve(model: str) -> str:
    """The folder of a bundled model; any other name as it is.

    Runs name a model and not its place, so that they go on where the package lies elsewhere.
    """
    return bundled(model) or model


def public_name(model: str) -> str:
    """A model's name for files that others get: of a place on this machine, only its last part."""
    place = Path(model)
    return place.name if place.is_absolute() or place.exists() else model
