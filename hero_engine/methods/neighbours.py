"""Prompts next to a run's own: fewer, more, another colour, no place, the bare noun.

People who teach one prompt do not mean to change these, and they are what a change spills over to
first. They are made by rules of English alone; of a prompt that the rules do not read, only the
parts that they read are changed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

_OPENING = re.compile(
    r"^((an?|the)\s+)?((\w+)\s+)?(photo|photograph|picture|image|painting|drawing|portrait|"
    r"illustration|sketch|render)\s+of\s+",
    re.IGNORECASE,
)
_COLOURS = (
    *("red", "blue", "green", "yellow", "white", "black", "orange", "purple", "pink", "brown"),
    *("grey", "gray", "golden", "silver", "ginger", "violet"),
)
_OTHER_COLOURS = ("red", "blue", "white")
"""What a colour is changed to: the first that it is not."""
_PLACE_WORDS = (
    *("in", "on", "at", "by", "near", "under", "over", "above", "below", "inside", "outside"),
    *("beside", "behind", "before", "between", "among", "against", "along", "through"),
    *("from", "to", "with", "without", "and", "or", "while", "of", "for", "that", "which"),
    *("who", "is", "are"),
)
_ACT_WORDS = (
    *("sitting", "standing", "lying", "wearing", "holding", "looking", "watching", "running"),
    *("walking", "flying", "riding", "eating", "drinking", "sleeping", "reading", "playing"),
    *("dancing", "swimming", "carrying", "smiling", "jumping", "climbing", "driving"),
    *("growing", "hanging", "viewed", "seen", "made", "surrounded", "covered", "dressed"),
    *("painted", "lit", "filled"),
)
_STOPS = (",", ".", ";", ":")
_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


@dataclass(frozen=True)
class _Phrase:
    """What a prompt shows: how many of what, how they are, and where."""

    opening: str
    """`photo of `, or nothing."""
    number: str
    adjectives: tuple[str, ...]
    noun: str
    rest: str

    def __str__(self) -> str:
        shown = " ".join(filter(None, [self.number, *self.adjectives, self.noun, self.rest]))
        return f"{self.opening}{shown}"


def neighbours(prompt: str) -> list[str]:
    """The prompts next to `prompt`, at most five, the nearest first; none of it is said twice."""
    phrase = _read(" ".join(prompt.split()))
    if phrase is None:
        return []
    made = dict.fromkeys(
        str(each)
        for change in (_other_numbers, _other_colour, _no_place, _bare_noun)
        for each in change(phrase)
    )
    return [each for each in made if each.lower() != str(phrase).lower()]


def _read(prompt: str) -> _Phrase | None:
    """The parts of a prompt; None where nothing is named before its first place or act."""
    found = _OPENING.match(prompt)
    opening = found.group(0) if found else ""
    words = prompt[len(opening) :].split()
    end = next((i for i, word in enumerate(words) if _ends_phrase(words, i)), len(words))
    shown, rest = words[:end], words[end:]
    if shown and shown[-1].endswith(_STOPS):
        shown[-1], rest = shown[-1].rstrip("".join(_STOPS)), []
    number = shown.pop(0) if shown and _value(shown[0]) is not None else ""
    if not shown or not shown[-1]:
        return None
    return _Phrase(opening, number, tuple(shown[:-1]), shown[-1], " ".join(rest))


def _ends_phrase(words: list[str], at: int) -> bool:
    before = at > 0 and words[at - 1].endswith(_STOPS)
    return before or words[at].lower() in (*_PLACE_WORDS, *_ACT_WORDS)


def _value(word: str) -> int | None:
    return int(word) if word.isdecimal() else _NUMBERS.get(word.lower())


def _other_numbers(phrase: _Phrase) -> Iterator[_Phrase]:
    """One fewer, and one more."""
    value = _value(phrase.number)
    if value is None:
        return
    one = phrase.noun if value == 1 else _english().singular_noun(phrase.noun) or phrase.noun
    for wanted in (value - 1, value + 1):
        if wanted > 0:
            noun = one if wanted == 1 else _english().plural_noun(one)
            yield replace(phrase, number=_named(wanted, phrase.number), noun=noun)


def _named(value: int, like: str) -> str:
    if like.isdecimal():
        return str(value)
    return next((name for name, number in list(_NUMBERS.items())[2:] if number == value), "many")


def _other_colour(phrase: _Phrase) -> Iterator[_Phrase]:
    for at, word in enumerate(phrase.adjectives):
        if word.lower() in _COLOURS:
            other = next(colour for colour in _OTHER_COLOURS if colour != word.lower())
            adjectives = (*phrase.adjectives[:at], other, *phrase.adjectives[at + 1 :])
            yield replace(phrase, adjectives=adjectives)
            return


def _no_place(phrase: _Phrase) -> Iterator[_Phrase]:
    if phrase.rest:
        yield replace(phrase, rest="")


def _bare_noun(phrase: _Phrase) -> Iterator[_Phrase]:
    yield _Phrase("", "", (), phrase.noun, "")


@cache
def _english() -> Any:
    """inflect's rules, which take a second to load."""
    import inflect

    return inflect.engine()
