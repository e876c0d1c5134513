"""Back to the model before its last update, once the next batch shows that the update did harm.

A policy gradient can lose in one step what it gained in five epochs, and nothing in the update
itself tells; people's verdicts on the next batch do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

Tensors = dict[str, dict[str, Tensor]]
"""What a method remembers of its model, by the file of the checkpoint."""


@dataclass
class Rollback:
    """The best success rate so far, and what the model was before its last update.

    Of a model that has stepped back neither is known: its next batch is the first of a new record.
    So a rate that was high by luck makes a run step back once, and no run goes back and forth
    without learning.
    """

    drop: float
    """Largest fall of the success rate that is taken for chance; 0 is never to step back."""
    best: float | None = None
    before: Tensors | None = None

    def due(self, rate: float | None) -> bool:
        """Whether a batch's success rate asks for a step back that can be made."""
        if not self.drop or self.before is None or self.best is None or rate is None:
            return False
        return self.best - rate > self.drop

    def take(self, rate: float | None) -> tuple[Tensors, str]:
        """The model to return to, and what to tell people of it, where a step back is due."""
        best, before = self.best, self.before
        if best is None or before is None:
            raise ValueError("there is no model to step back to")
        self.best = self.before = None
        return before, (
            f"The success rate fell from {best:.0%} to {rate:.0%}, so the model was set back to "
            "what it was before its last update; the next batch is drawn from that."
        )

    def passed(self, rate: float | None, before: Tensors | None) -> None:
        """Note a batch that asked for none; `before` is None where the model was not changed."""
        if rate is not None:
            self.best = rate if self.best is None else max(self.best, rate)
        if before is not None:
            self.before = before


def under(prefix: str, files: Mapping[str, dict[str, Tensor]]) -> Tensors | None:
    """The files of a checkpoint whose names begin so, without that; None where there are none."""
    found = {
        name.removeprefix(prefix): tensors
        for name, tensors in files.items()
        if name.startswith(prefix)
    }
    return found or None
