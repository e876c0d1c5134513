"""Who and what an epoch's labelling waits for, in words, and about how long it will take. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median

from backend.run.records import Counts

FEWEST = 4
"""Labels from which a pace can be told."""
PATIENCE = 10
"""So many times the usual pause after a label, and people are taken to have gone away."""
SHORTEST_ABSENCE = 120.0
MOST_PROBLEMS = 3
"""So many unusable labels are told one by one."""


def seconds_left(times: Sequence[datetime], missing: int, now: datetime) -> float | None:
    """How long people will need for the votes that are missing, at the epoch's own pace.

    The pace is the median pause between two labels, whoever made them, so that a lunch break does
    not count.

    Args:
        times: when each of the epoch's labels was made.
        missing: number of votes that are still needed.

    Returns:
        Seconds; None if there are too few labels to tell, or nobody seems to be labelling now.
    """
    if missing <= 0:
        return 0.0
    times = sorted(times)
    if len(times) < FEWEST:
        return None
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    pause = median(pauses)
    if (now - times[-1]).total_seconds() > max(SHORTEST_ABSENCE, PATIENCE * pause):
        return None
    return missing * pause


def sentence(counts: Counts) -> str:
    """Everything in one line: "41 of 64 labelled, best missing, 2 annotators, about 2 min left"."""
    return ", ".join([f"{counts.labelled} of {counts.total} labelled", *still(counts)])


def still(counts: Counts) -> list[str]:
    """What is to be said beside the number of labelled images, in short phrases."""
    people = len(counts.annotators)
    said = []
    if counts.votes_needed > counts.total:
        said.append(f"{counts.votes} of {counts.votes_needed} votes")
    if counts.complete:
        said.append("all is there")
    elif counts.labelled == counts.total:
        why = "what was chosen as the best is bad by the votes, " if counts.best_overruled else ""
        said.append(
            f"{why}waiting for somebody to say which of {counts.undecided} good images is the best"
        )
    elif counts.prompts > 1:
        said.append(f"{counts.bests} of {counts.prompts} bests chosen")
    elif counts.has_best:
        said.append("the best is chosen")
    else:
        said.append("best missing")
    said.append(f"{people or 'no'} annotator{'' if people == 1 else 's'}")
    needed = counts.votes_needed // counts.total if counts.total else 0
    if (
        0 < people < needed
        and not counts.silent
        and min(counts.annotators.values()) >= counts.total
    ):
        lacking = needed - people
        said.append(f"waiting for {lacking} more {'person' if lacking == 1 else 'people'}")
    if counts.silent:
        said.append(f"nothing yet from {' and '.join(counts.silent)}")
    if counts.seconds_left:
        said.append(f"about {duration(counts.seconds_left)} left")
    return said


def notices(counts: Counts) -> list[str]:
    """What somebody should know of labels that are there and do not count, a sentence each."""
    said = [
        f"{number} label{'' if number == 1 else 's'} by {name} do{'es' if number == 1 else ''} not "
        "count: that account is not among the run's annotators. Label Studio hands "
        "out an image only so often: delete such labels there if others get none."
        for name, number in counts.uncounted.items()
    ]
    said += counts.problems[:MOST_PROBLEMS]
    more = len(counts.problems) - MOST_PROBLEMS
    return [*said, f"{more} more such labels."] if more > 0 else said


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "2 min", "1 h 20 min"."""
    if seconds < 50:
        return f"{max(10, round(seconds, -1)):.0f} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 600:
        hours, rest = divmod(5 * round(minutes / 5), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(minutes / 60)} h"
