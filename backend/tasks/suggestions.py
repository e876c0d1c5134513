"""Which images of a gallery's page are clicked when it opens: those that the model takes for good,
where it is mostly right (beyond the paper). Pure.

People tend to leave what is there. So some images of such a page are always left to them, and two
things are measured on every epoch that is closed: how often the model was right about images that
people judged by themselves, and whether they agree with it more where they saw what it thinks. If
they do, the pages of the run open empty from then on.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from backend.consensus import BAD
from backend.run.records import Epoch, Image, Run
from backend.tasks.predictions import Predictions

RIGHT = 0.9
"""So often the model has to have been right."""
SEEN = 32
"""About so many images at least, that people judged by themselves."""
LEFT_TO_PEOPLE = 1 / 8
"""So large a share of a page that opens with suggestions has none."""
BY_CHANCE = 0.05
"""If people agree with suggestions so much more often than with what they did not see that this is
less likely by chance, there are no more suggestions."""


@dataclass(frozen=True)
class Agreement:
    """How often the model was right, by what people said."""

    right: int = 0
    of: int = 0

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(self.right + other.right, self.of + other.of)

    @property
    def share(self) -> float:
        """Of 1; 0 of nothing."""
        return self.right / self.of if self.of else 0.0


@dataclass(frozen=True)
class Opening:
    """How an epoch's pages open."""

    suggested: frozenset[int] = frozenset()
    """Images that are clicked when the page opens."""
    left: frozenset[int] = frozenset()
    """Images that have no suggestion on a page that has some."""
    known: Agreement = Agreement()
    """What decided it: how often the model was right before."""
    biased: bool = False
    """Whether suggestions have been found to change what people say."""
    unseen: Agreement = Agreement()
    """Of this epoch, once it is judged: about images whose suggestion nobody saw."""
    seen: Agreement = Agreement()
    """Of this epoch, once it is judged: about images that had one."""

    @property
    def begun(self) -> bool:
        """Whether the pages open with suggestions."""
        return bool(self.left)

    @property
    def in_words(self) -> str:
        """What people read on the page."""
        if not self.begun:
            return ""
        return (
            f"The model has marked what it takes for good. Of {self.known.of} images it was right "
            f"about {self.known.right}. Put right what is wrong, judge the dashed images yourself, "
            "and click the star of the best one. Then press Space."
        )


def openings(run: Run, epochs: Sequence[Epoch], images: Iterable[Image]) -> list[Opening]:
    """How the pages of each epoch so far open, from what was decided in the epochs before it.

    Args:
        images: of all epochs.
    """
    drawn: list[list[Image]] = [[] for _ in epochs]
    for image in images:
        drawn[image.epoch].append(image)
    found: list[Opening] = []
    for number, batch in enumerate(drawn):
        said = Predictions.of(run, epochs, number, batch).verdicts if batch else []
        found.append(_opening(run, number, batch, said, found))
    return found


def _opening(
    run: Run,
    epoch: int,
    images: Sequence[Image],
    said: Sequence[str | None],
    before: Sequence[Opening],
) -> Opening:
    known, biased = _seen_last(before), _are_biased(before)
    asked = [image.index for image in images if image.asked]
    guessed = [index for index in asked if said[index] is not None]
    left: frozenset[int] = frozenset()
    suggested: frozenset[int] = frozenset()
    wanted = run.labelling.layout == "gallery" and run.labelling.suggestions
    if wanted and guessed and not biased and known.of >= SEEN and known.share >= RIGHT:
        lot = random.Random(f"{run.id}/{epoch}")  # nosec B311
        pages: dict[str | None, list[int]] = {}
        for index in guessed:
            pages.setdefault(images[index].prompt, []).append(index)
        chosen = [i for page in pages.values() for i in lot.sample(page, _share_of(page))]
        left = frozenset({*chosen, *asked} - ({*guessed} - {*chosen}))
        suggested = frozenset(i for i in guessed if i not in left and said[i] != BAD)
    judged = [i for i in guessed if images[i].verdict is not None]
    alone = [i for i in judged if not left or i in left]
    shown = [i for i in judged if left and i not in left]
    return Opening(
        suggested,
        left,
        known,
        biased,
        _agreement(images, said, alone),
        _agreement(images, said, shown),
    )


def _share_of(page: Sequence[int]) -> int:
    """How many of a page's images are left to people; at least one, by which the page knows."""
    return ceil(LEFT_TO_PEOPLE * len(page))


def _agreement(
    images: Sequence[Image], said: Sequence[str | None], indexes: Sequence[int]
) -> Agreement:
    right = sum((said[i] == BAD) == (images[i].verdict == BAD) for i in indexes)
    return Agreement(right, len(indexes))


def _seen_last(before: Sequence[Opening]) -> Agreement:
    """About the last images that people judged by themselves, of as many epochs as it takes."""
    known = Agreement()
    for opening in reversed(before):
        if known.of >= SEEN:
            break
        known += opening.unseen
    return known


def _are_biased(before: Sequence[Opening]) -> bool:
    """Whether people agreed with suggestions that they saw more often than with the others of the
    same pages (Fisher's exact test)."""
    pages = [opening for opening in before if opening.begun]
    seen = sum((opening.seen for opening in pages), Agreement())
    unseen = sum((opening.unseen for opening in pages), Agreement())
    if not seen.of or not unseen.of or seen.share <= unseen.share:
        return False
    import numpy as np
    from scipy.stats import fisher_exact

    table = np.array([[each.right, each.of - each.right] for each in (seen, unseen)])
    return bool(fisher_exact(table, alternative="greater").pvalue < BY_CHANCE)
