"""Whether a kept run is one that a benchmark asks for."""

from __future__ import annotations

from typing import Any

from benchmarks.kept_runs import Spec
from hero_engine.config import HeroConfig


def same(kept: Spec, wanted: Spec) -> bool:
    """Whether both ask for the same run; `config`, the engine's settings, may be written
    differently."""
    return _others(kept) == _others(wanted) and _same_config(
        kept.get("config", {}), wanted.get("config", {})
    )


def _others(spec: Spec) -> Spec:
    return {name: value for name, value in spec.items() if name != "config"}


def _same_config(kept: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """A setting that is not written down has its default. So a setting that did not exist when a
    run was kept does not count against it, as long as it is at the default."""
    defaults = HeroConfig.model_construct().model_dump(mode="json")
    return {**defaults, **kept} == {**defaults, **wanted}
