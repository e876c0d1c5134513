"""What the people of a run think, whoever asks and whenever: so that what is learned is known."""

import random

VERDICTS = ("best", "good", "bad", "bad")
WRONG = {"best": "bad", "good": "bad", "bad": "good"}


def verdicts(run_id: str, epoch: int) -> list[str]:
    """Of the images of an epoch, by index: one is the best, one good, and the others bad."""
    shuffled = list(VERDICTS)
    random.Random(f"{run_id}/{epoch}").shuffle(shuffled)
    return shuffled
