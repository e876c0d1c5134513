"""Many annotators' votes -> one verdict an image, and one best image an epoch. Pure."""

from backend.consensus.best import choose_best
from backend.consensus.deciding import Decision, decide
from backend.consensus.votes import (
    BAD,
    BEST,
    GOOD,
    VALUES,
    Vote,
    is_good,
    last_words,
    latest_picks,
    latest_votes,
    name_of,
    person_of,
)

__all__ = [
    "BAD",
    "BEST",
    "GOOD",
    "VALUES",
    "Decision",
    "Vote",
    "choose_best",
    "decide",
    "is_good",
    "last_words",
    "latest_picks",
    "latest_votes",
    "name_of",
    "person_of",
]
