"""The models that a run may be started with from a page.

A page names no place on the disk and no repository of a hub: whoever opens one chooses among the
models that come with an installed package, that the settings name, or that a run on this machine
was started with from the command line.
"""

from dataclasses import dataclass
from typing import Any

from backend import engine
from backend.errors import BadInput
from backend.run.records import Run
from backend.settings import Settings
from backend.show import forecast
from backend.store import Store

PRESET = "tiny"
"""The settings that suit the bundled models."""


@dataclass(frozen=True)
class Offer:
    """A model, and what is known of it."""

    name: str
    about: str
    options: dict[str, Any]
    """What `hero start` would be told to use it."""


def offers(settings: Settings, store: Store) -> list[Offer]:
    """The models, that of new runs first."""
    runs = store.runs()
    found: dict[str, Offer] = {}

    def add(name: str, about: str, **options: Any) -> None:
        said = ", ".join(part for part in (about, _takes(runs, name)) if part)
        found.setdefault(name, Offer(name, said, options))

    if settings.model:
        add(settings.model, "of the settings", model=settings.model)
    for name in engine.bundled_models():
        add(name, "small, bundled", preset=PRESET, model=name)
    for run in runs:
        named = {"model": run.config.get("model"), "revision": run.config.get("revision")}
        if named["model"]:
            options = {key: value for key, value in named.items() if value}
            add(str(named["model"]), "of an earlier run", **options)
    return list(found.values())


def chosen(settings: Settings, store: Store, name: str) -> Offer:
    """One of them.

    Raises:
        BadInput: it is none of them.
    """
    there = offers(settings, store)
    for offer in there:
        if offer.name == name:
            return offer
    raise BadInput(
        f"Cannot start a run with the model {name!r} from a page: it offers "
        f"{', '.join(offer.name for offer in there)}; start the first run with another one by "
        "`hero start --model`, and the pages offer it from then on."
    )


def _takes(runs: list[Run], model: str) -> str:
    """What an epoch took with a model the last time that one was tried; empty if none was."""
    for run in runs:
        if run.config.get("model") == model and run.forecast is not None:
            said = forecast.in_words(run.forecast)
            return f"last time {said} with {run.images_per_epoch} images"
    return ""
