"""What can be done with a run in a terminal, to copy from its page."""

from backend.run.records import Run
from backend.run.states import ENDED, State


def commands(run: Run) -> list[tuple[str, str]]:
    """(what it does, the command), what fits the run's state first."""
    found = []
    if run.state is State.labelling:
        found.append(("learn from the labels there are", f"hero advance {run.id}"))
    if run.state in (State.paused, State.failed):
        found.append(("go on", f"hero resume {run.id}"))
    if run.state is State.finished:
        found.append(("go on for another epoch", f"hero extend {run.id}"))
    if run.state not in ENDED:
        found.append(("follow it in a terminal", f"hero watch {run.id}"))
    if run.epoch > 0:
        found += [
            ("draw with what it has learned", f"hero generate {run.id} -n 16 --noise bank"),
            ("take the LoRA", f"hero export {run.id} --what lora"),
            ("let people compare it blind with the base model", f"hero compare {run.id}"),
        ]
    found.append(("keep this page as one file", f"hero export {run.id} --what report"))
    return found
