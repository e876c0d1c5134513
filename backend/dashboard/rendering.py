"""From facts to HTML: the templates, and how they write numbers and times."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from backend.dashboard.overview import latest_batch
from backend.run.states import ENDED, State
from backend.show.run_view import STAGES

HERE = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """A template as HTML; everything is escaped but the plots."""
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        signed=signed,
        figure=figure,
        duration=duration,
        moment=moment,
        plain=plain,
        prose=prose,
    )
    environment.globals.update(
        State=State,
        ENDED=ENDED,
        STAGES=STAGES,
        latest_batch=latest_batch,
        stylesheet=_static("dashboard.css"),
    )
    return environment


def _static(name: str) -> Markup:
    return Markup((HERE / "static" / name).read_text(encoding="utf-8"))


def prose(text: str) -> Markup:
    """A sentence in which `commands` stand as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def percent(value: float | None) -> str:
    """41 %"""
    return "\N{EN DASH}" if value is None else f"{100 * value:.0f} %"


def signed(value: float | None) -> str:
    """+0.41"""
    return "\N{EN DASH}" if value is None else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def figure(value: float | None) -> str:
    """0.41"""
    return "\N{EN DASH}" if value is None else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def duration(seconds: float | None) -> str:
    """2 min 13 s"""
    if seconds is None:
        return "\N{EN DASH}"
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"


def moment(value: datetime | None) -> Markup:
    """A time in UTC, for people and machines."""
    if value is None:
        return Markup("\N{EN DASH}")
    value = value.astimezone(UTC)
    text = f"{value.day} {value:%b %Y, %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), text)


def plain(value: object) -> str:
    """A setting's value as a person writes it."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "\N{EN DASH}"
    return "\N{EN DASH}" if value in (None, "") else str(value)
