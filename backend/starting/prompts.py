"""The prompts of a run: one a line, each with what makes its images good."""

from collections.abc import Iterable
from pathlib import Path

from backend.errors import BadInput

SEPARATOR = "|"
"""Between a prompt and its criteria."""


def read_prompts(path: Path) -> list[str]:
    """The lines of a file of prompts, without empty ones and those that begin with #.

    Raises:
        BadInput: it cannot be read, or has none.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BadInput(f"Cannot read {path}: {why}; name a text file with --prompts.") from error
    found = prompt_lines(text)
    if not found:
        raise BadInput(
            f"Cannot use {path}: it has no prompt; write one a line, with `{SEPARATOR} what makes "
            "an image good` behind it if you like."
        )
    return found


def prompt_lines(text: str) -> list[str]:
    """The lines of a text, without empty ones and those that begin with #."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def split_criteria(lines: Iterable[str]) -> dict[str, str]:
    """Criteria by prompt, in the order of the lines; empty where a line says none.

    Raises:
        BadInput: a prompt is there twice, or a line has none.
    """
    found: dict[str, str] = {}
    for line in lines:
        prompt, _, criteria = (part.strip() for part in line.partition(SEPARATOR))
        if not prompt:
            raise BadInput(f"Cannot start the run: the line {line!r} has no prompt; add one.")
        if prompt in found:
            raise BadInput(
                f"Cannot start the run: the prompt {prompt!r} is there twice; leave one out."
            )
        found[prompt] = criteria
    return found
