"""Prompts and what an image must show to be a success."""

from dataclasses import dataclass

from tinyworld.subjects import subjects


class UnknownPrompt(ValueError):
    """No subject of the tiny world has success conditions for this prompt."""


@dataclass(frozen=True)
class Task:
    """A prompt and its success conditions, by the judge's heads."""

    prompt: str
    conditions: dict[str, str]
    """Head of the judge (`subject`, `clean`, `stamp`, `<subject>.<attribute>`) -> the value it must
    have."""


def tasks() -> dict[str, Task]:
    """Prompt -> task, for every prompt that some subject has conditions for."""
    return {
        prompt: Task(
            prompt,
            {
                "subject": name,
                "clean": "yes",
                **{f"{name}.{attribute}": value for attribute, value in wanted.items()},
            },
        )
        for name, subject in subjects().items()
        for prompt, wanted in subject.tasks.items()
    }


def task(prompt: str | Task) -> Task:
    """The task of a prompt; case and outer spaces do not matter. A task is its own.

    Raises:
        UnknownPrompt: no subject has conditions for this prompt.
    """
    if isinstance(prompt, Task):
        return prompt
    known = tasks()
    found = known.get(" ".join(prompt.lower().split()))
    if found is None:
        listed = ", ".join(f'"{name}"' for name in known)
        raise UnknownPrompt(
            f'The tiny world\'s judge cannot judge "{prompt}", since no subject has success '
            f"conditions for it; use one of {listed}."
        )
    return found
