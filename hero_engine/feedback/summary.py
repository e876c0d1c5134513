"""How much the feedback on a batch has to teach, and what to tell people about it.

Methods learn from the difference between good and bad images. Where there is none, or hardly any,
normalised rewards are noise, and AdamW's steps do not shrink with the gradient: a run that trained
on such a batch as on any other lost all it had learned, right after its first perfect epoch.
"""

from dataclasses import dataclass

from hero_engine.storage.batch import Feedback


@dataclass(frozen=True)
class FeedbackSummary:
    """The good and the bad images of a batch, by index, and whether a best was chosen."""

    good: list[int]
    bad: list[int]
    best_chosen: bool

    @classmethod
    def of(cls, feedback: Feedback) -> "FeedbackSummary":
        """Of a feedback whose best image is among the good."""
        return cls(
            good=[i for i, verdict in enumerate(feedback.good) if verdict],
            bad=[i for i, verdict in enumerate(feedback.good) if verdict is False],
            best_chosen=feedback.best is not None,
        )

    @property
    def judged(self) -> int:
        """Number of images that somebody judged."""
        return len(self.good) + len(self.bad)

    def learning_rate_scale(self, full_update_share: float) -> float:
        """Factor of the update's learning rate: 1, or less where good or bad is rare.

        Grows in proportion to the share of the rarer kind and is 1 from `full_update_share` on.
        """
        share = min(len(self.good), len(self.bad)) / self.judged
        return min(1.0, share / full_update_share) if full_update_share else 1.0

    def nothing_to_learn(self, *, has_anchor: bool = True, bank: bool = False) -> str:
        """Why the batch allows no update and what follows, for people; empty if it does.

        `has_anchor` is false where rewards need a best image and none was ever chosen; `bank` is
        true where the next batch is drawn round the good noises.
        """
        after = "drawn round the good noises" if bank else "drawn as this one"
        if not self.judged:
            return (
                "No image was judged, so nothing was learned; the next batch is drawn as this one."
            )
        if not self.good:
            return (
                f"None of the {len(self.bad)} judged images is good, so there is nothing to learn "
                "towards; the next batch is drawn as this one."
            )
        if not has_anchor:
            return (
                "No best image has been chosen yet, so rewards cannot be measured and the model "
                f"was not changed; the next batch is {after}."
            )
        if not self.bad:
            return (
                f"All of the {len(self.good)} judged images are good, so there is no difference to "
                f"learn from and the model was not changed; the next batch is {after}."
            )
        return ""

    def unusual(self, full_update_share: float, *, needs_anchor: bool = True) -> str:
        """What people should know of an update that was made; empty if it was an ordinary one."""
        notes = []
        if needs_anchor and not self.best_chosen:
            notes.append("No best image was chosen, so an earlier epoch's best stayed the anchor.")
        scale = self.learning_rate_scale(full_update_share)
        if scale < 1:
            rarer, kind = min((len(self.good), "good"), (len(self.bad), "bad"))
            notes.append(
                f"Only {rarer} of {self.judged} judged images {'is' if rarer == 1 else 'are'} "
                f"{kind}, so the update was made with {scale:.2f} of the learning rate."
            )
        return " ".join(notes)
