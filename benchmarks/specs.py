"""Whether a kept run is one that a benchmark asks for."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from benchmarks.kept_runs import Spec
from hero_engine.errors import ConfigError
from hero_engine.methods.earlier_format import BUNDLED, HERO_PLUS_ALONE, REMOVED
from hero_engine.methods.make_config import common_settings, read_config, settings_of
from hero_engine.methods.table import METHODS

TINY = "tiny"
"""The bundled model's name."""


def same(kept: Spec, wanted: Spec) -> bool:
    """Whether both ask for the same run; `config`, the engine's settings, may be written
    differently."""
    if _others(kept) != _others(wanted):
        return False
    return _same_config(kept.get("config", {}), wanted.get("config", {}))


def _others(spec: Spec) -> Spec:
    return {name: value for name, value in spec.items() if name != "config"}


def _same_config(kept: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """A kept configuration of format 1 counts if its run did what one of format 2 does: settings of
    other methods, which it ignored, are left aside, and so are the random numbers, which are new.
    """
    if kept == wanted:
        return True
    try:
        return _settings(kept) == _settings(wanted)
    except ConfigError:
        return False


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """All settings of a run. Raises `ConfigError` if the engine has no such run any more."""
    stored = {"model": TINY, **config}
    if PurePath(stored["model"]).parts[-len(BUNDLED) :] == BUNDLED:
        stored["model"] = TINY
    if "format" not in stored:
        _check_names(stored)
    found, lost = read_config(stored)
    if lost:
        raise ConfigError(f"The engine has no {', '.join(lost)} any more.")
    settings = found.flat()
    del settings["format"]
    return settings


def _check_names(stored: dict[str, Any]) -> None:
    """Raises `ConfigError` for a setting of no method, now or at format 1."""
    known = {setting.name for method in METHODS for setting in settings_of(method)}
    known |= {setting.name for setting in common_settings()}
    known |= {"method", *REMOVED, *HERO_PLUS_ALONE}
    if unknown := set(stored) - known:
        raise ConfigError(f"No method has the settings {', '.join(sorted(unknown))}.")
