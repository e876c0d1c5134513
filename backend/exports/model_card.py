"""The model card of a LoRA, made from what is known of its run. Pure.

Annotators are numbered in it: a card is public, and their addresses are theirs. A section of which
nothing is known is left out, and *What was not measured* says so. `model_card.md.jinja` has the
words.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from backend.dashboard.facts import RunFacts
from backend.dashboard.rendering import duration, figure, percent
from backend.exports.base_model import BaseModel
from backend.exports.target import MARK

TASK = "text-to-image"
_SAID_ELSEWHERE = (
    "prompt",
    "further_prompts",
    "negative_prompt",
    "model",
    "revision",
    "pipeline_config",
)
"""Settings that the card says elsewhere, or that are places on this machine."""


@dataclass(frozen=True)
class Usage:
    """How the LoRA is used."""

    code: str
    """Python, for diffusers."""
    programs: tuple[str, ...]
    """Other programs, a line each."""


def model_card(
    facts: RunFacts, base: BaseModel, usage: Usage, method: str, pictures: tuple[str, str] | None
) -> str:
    """The card, with the metadata that the hub reads.

    Args:
        method: what learned from the feedback, as a sentence.
        pictures: file names of the same noises drawn before and after, if there are such.
    """
    later = [
        (epoch.figure("success_rate"), epoch.figure("success_rate_fresh"))
        for epoch in facts.closed[1:]
    ]
    bank = any(fresh != every for every, fresh in later)
    text = _template().render(
        metadata=_metadata(facts, base),
        facts=facts,
        base=base,
        usage=usage,
        method=method,
        pictures=pictures,
        labels=_labels(facts),
        bank=bank,
        fresh=bank and any(fresh is not None for _, fresh in later),
        spread=any(epoch.figure("diversity") is not None for epoch in facts.closed),
        settings=[each for each in facts.settings if each.name not in _SAID_ELSEWHERE],
        mark=MARK,
        version=version("hero-label-studio"),
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@lru_cache(maxsize=1)
def _template() -> Any:
    environment = Environment(  # nosec B701
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # Markdown; what people wrote goes through `plain` and its kin
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        plain=plain, quoted=quoted, cell=cell, as_code=as_code,
        percent=percent, figure=figure, duration=duration,
    )  # fmt: skip
    return environment.get_template("model_card.md.jinja")


def _metadata(facts: RunFacts, base: BaseModel) -> str:
    from huggingface_hub import ModelCardData

    said = ModelCardData(
        base_model=base.name if base.on_hub else None,
        base_model_relation="adapter" if base.on_hub else None,
        library_name="diffusers",
        license=base.licence.get("license"),
        license_name=base.licence.get("license_name"),
        license_link=base.licence.get("license_link"),
        pipeline_tag=TASK,
        tags=[TASK, "diffusers", "lora", "human-feedback"],
        instance_prompt=facts.run.prompt,
    )
    return said.to_yaml()


def _labels(facts: RunFacts) -> Counter[str]:
    """Verdicts of the closed epochs: judged, good, bad, best, estimated."""
    counted: Counter[str] = Counter()
    for epoch in facts.epochs:
        if not epoch.closed:
            continue
        counted["judged"] += epoch.judged
        counted["good"] += epoch.good
        counted["bad"] += epoch.judged - epoch.good
        counted["best"] += len(epoch.record.bests)
        counted["estimated"] += epoch.by_embedding
    return counted


def plain(text: str) -> str:
    """Text in one line, in which nothing is Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!&$])", r"\\\1", " ".join(text.split()))


def quoted(text: str) -> str:
    """Text as a block quote, line by line."""
    lines = [plain(line) for line in text.strip().splitlines()]
    return "\n>\n".join(f"> {line}" for line in lines if line)


def cell(value: object) -> str:
    """A setting's value in a table; of a place on this machine, only the last part."""
    from backend.engine import public_name

    if value is None or value == "":
        return ""
    return plain(public_name(value)) if isinstance(value, str) else plain(str(value))


def as_code(line: str) -> str:
    """A line of `hero export` with its folders and tags as code."""
    return re.sub(r"(<\S+>|models/\w+)", r"`\1`", line)
