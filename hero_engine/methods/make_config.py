"""From flat settings to a `RunConfig`, and what there is to set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from hero_engine.config import (
    FORMAT,
    LoraSettings,
    ModelSettings,
    Part,
    RunConfig,
    SamplingSettings,
)
from hero_engine.errors import ConfigError
from hero_engine.methods.earlier_format import REMOVED, as_before, migrated, still_does
from hero_engine.methods.table import METHODS

_PARTS: dict[str, type[Part]] = {
    "model": ModelSettings,
    "sampling": SamplingSettings,
    "lora": LoraSettings,
}


@dataclass(frozen=True)
class Setting:
    """One setting, for people."""

    name: str
    default: Any
    description: str
    needed: bool = False
    """Whether it has to be said, and so has no default."""


def make_config(**fields: Any) -> RunConfig:
    """The configuration with these settings, by their flat names; the others at their defaults.

    Raises `ConfigError`, one sentence that names every setting that cannot be used, and the one
    that was meant where a name is another method's or nobody's.
    """
    method = _method_name(fields)
    homes = _homes(method)
    fields = {name: v for name, v in fields.items() if not still_does(method, name, v)}
    problems = _refused([name for name in fields if name not in homes], method, homes)
    parts: dict[str, dict[str, Any]] = {part: {} for part in (*_PARTS, "method", "")}
    for name, value in fields.items():
        if name in homes:
            part, key = homes[name]
            parts[part][key] = value
    made: dict[str, Part] = {}
    for part, settings in {**_PARTS, "method": METHODS[method].settings}.items():
        try:
            made[part] = settings(**parts[part])
        except ValidationError as error:
            problems += _sentences(error, part)
    try:
        config = RunConfig(**parts[""], **made)
    except ValidationError as error:
        problems += [text for text in _sentences(error, "") if text.split(":")[0] not in parts]
        raise ConfigError(_cannot(problems)) from error
    if problems:
        raise ConfigError(_cannot(problems))
    return config


def read_config(stored: Mapping[str, Any]) -> tuple[RunConfig, dict[str, Any]]:
    """A configuration that `RunConfig.flat` gave, in this version or an earlier one.

    The second value is what of it this version has no more, by name; empty but for runs of an
    earlier version. Raises `ConfigError`.
    """
    written = stored.get("format", 1)
    if stored.get("format") in (1, FORMAT):
        return make_config(**as_before(stored)), {}
    if "format" in stored:
        raise ConfigError(
            f"The configuration has format {written}, and this version reads formats 1 to "
            f"{FORMAT}: a newer version wrote it; update HERO."
        )
    fields, dropped = migrated(as_before(stored), list(_homes(_method_name(stored))))
    return make_config(**fields), dropped


def foreign_settings(method: str) -> frozenset[str]:
    """The names of settings that other methods have, and this one does not."""
    others = {name for entry in METHODS.values() for name in entry.settings.model_fields}
    return frozenset(others - set(METHODS[method].settings.model_fields))


def settings_of(method: str) -> list[Setting]:
    """The method's settings, those that only it has first. Raises `ConfigError` for an unknown
    method."""
    if method not in METHODS:
        raise ConfigError(f"There is no method {_unknown_method(method)}.")
    settings = METHODS[method].settings
    fields = settings.model_fields
    own = [name for name in settings.__annotations__ if name in fields]
    names = dict.fromkeys([*own, *fields])
    return [_setting(name, fields[name]) for name in names if name != "name"]


def common_settings() -> list[Setting]:
    """The settings that every run has, whatever its method."""
    found = [
        _setting(name, field)
        for name, field in RunConfig.model_fields.items()
        if name not in (*_PARTS, "method", "format")
    ]
    for part, settings in _PARTS.items():
        found += [
            _setting(part if name == "name" else name, field)
            for name, field in settings.model_fields.items()
        ]
    return found


def _setting(name: str, field: Any) -> Setting:
    needed = field.default is PydanticUndefined
    default = None if needed else field.default
    return Setting(name, default, field.description or "", needed)


def _method_name(fields: Mapping[str, Any]) -> str:
    method = fields.get("method", "hero")
    if not isinstance(method, str) or method not in METHODS:
        raise ConfigError(_cannot([f"method: there is no method {_unknown_method(method)}"]))
    return method


def _unknown_method(method: Any) -> str:
    near = get_close_matches(str(method), METHODS, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return f"{method!r}{meant}; choose one of {', '.join(METHODS)}"


def _homes(method: str) -> dict[str, tuple[str, str]]:
    """Of each flat name that a run of the method has, the part and the name in it."""
    own = [name for name in RunConfig.model_fields if name not in (*_PARTS, "method")]
    homes = {name: ("", name) for name in own}
    for part, settings in {**_PARTS, "method": METHODS[method].settings}.items():
        for name in settings.model_fields:
            homes[part if name == "name" else name] = (part, name)
    return homes


def _refused(names: list[str], method: str, known: Iterable[str]) -> list[str]:
    """Why a run of the method has no settings of those names, and what was meant."""
    others: dict[tuple[str, ...], list[str]] = {}
    problems = []
    for name in names:
        of = tuple(m for m, entry in METHODS.items() if name in entry.settings.model_fields)
        if of and name != "name":
            others.setdefault(of, []).append(name)
        elif name in REMOVED:
            problems.append(f"{name}: it was removed, since {REMOVED[name].why}; leave it out")
        elif near := _near(name, known):
            problems.append(f"{name}: there is no such setting (did you mean {near}?)")
        else:
            problems.append(
                f"{name}: there is no such setting; `hero methods {method}` lists those there are"
            )
    for methods, theirs in others.items():
        are, them = ("they are settings", "them") if len(theirs) > 1 else ("it is a setting", "it")
        problems.append(
            f"{_listed(theirs, 'and')}: {are} of {_listed(methods, 'and')}, and this run's method "
            f"is {method}; leave {them} out, or set method to {_listed(methods, 'or')}"
        )
    return problems


def _near(name: str, known: Iterable[str]) -> str:
    """The settings whose names are like this one, or contain it."""
    names = [each for each in known if each != "format"]
    name = name.lower().replace("-", "_")
    near = get_close_matches(name, names, n=1) or [each for each in names if name in each][:3]
    return " or ".join(near)


def _listed(names: Sequence[str], word: str) -> str:
    return f" {word} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _sentences(error: ValidationError, part: str) -> list[str]:
    texts: dict[tuple[str, str], list[str]] = {}
    for problem in error.errors():
        field = str(problem["loc"][0]) if problem["loc"] else ""
        field = part if field == "name" else field
        text = problem["msg"].removeprefix("Value error, ")
        given = f" (it is {problem['input']!r})" if field and problem["type"] != "missing" else ""
        if isinstance(problem["input"], BaseModel):
            given = ""
        texts.setdefault((field, given), []).append(text)
    return [
        f"{field}: {' or '.join(said)}{given}" if field else " or ".join(said)
        for (field, given), said in texts.items()
    ]


def _cannot(problems: list[str]) -> str:
    return f"The configuration cannot be used: {'; '.join(problems)}."
