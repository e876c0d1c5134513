"""What the embedding says of images before people have seen them (beyond the paper). Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backend.consensus import BAD, BEST, GOOD
from backend.run.records import Epoch, Image, Run
from backend.tasks.images import image_key


@dataclass(frozen=True)
class Prediction:
    """What the embedding says of a task."""

    score: float
    """The image's similarity to the best so far (Eq. 4); of a page the mean of its images'."""
    verdicts: Mapping[str, str]
    """good, bad or best by image key."""
    model_version: str


@dataclass(frozen=True)
class Predictions:
    """What the embedding says of an epoch's images, by index; None where it cannot say."""

    keys: Sequence[str]
    similarities: Sequence[float | None]
    verdicts: Sequence[str | None]
    model_version: str

    @classmethod
    def of(
        cls, run: Run, epochs: Sequence[Epoch], epoch: int, images: Sequence[Image]
    ) -> "Predictions":
        """Of one of a run's epochs, from its images' similarities to the best so far."""
        similarities = [image.prediction for image in images]
        prompts = [image.prompt or "" for image in images]
        return cls(
            [image_key(run.id, epoch, index) for index in range(len(images))],
            similarities,
            verdicts(similarities, good_from(epochs, epoch), prompts),
            model_version(run, epoch),
        )

    def of_task(self, indexes: Iterable[int]) -> Prediction | None:
        """Of a task that shows these images; None if nothing can be said of any of them."""
        scores, said = [], {}
        for index in indexes:
            if index < len(self.keys) and (verdict := self.verdicts[index]) is not None:
                scores.append(self.similarities[index] or 0.0)
                said[self.keys[index]] = verdict
        if not scores:
            return None
        return Prediction(sum(scores) / len(scores), said, self.model_version)


def verdicts(
    similarities: Sequence[float | None], threshold: float, prompts: Sequence[str] = ()
) -> list[str | None]:
    """good, bad or best an image; None where there is no similarity to the best so far (Eq. 4).

    The best is the most similar of the good ones; of several prompts, each has one.
    """
    good = [i for i, value in enumerate(similarities) if value is not None and value >= threshold]
    best: dict[str, int] = {}
    for i in sorted(good, key=lambda i: (similarities[i], -i)):
        best[prompts[i] if prompts else ""] = i
    bests = set(best.values())
    return [
        None if value is None else BEST if i in bests else GOOD if value >= threshold else BAD
        for i, value in enumerate(similarities)
    ]


def good_from(epochs: Sequence[Epoch], epoch: int) -> float:
    """The similarity from which an image of `epoch` is taken for good.

    Midway between the good and the bad of the last epoch before it that was learned from.
    """
    for row in reversed(epochs[:epoch]):
        report = row.report or {}
        good, bad = report.get("reward_good"), report.get("reward_bad")
        if good is not None and bad is not None:
            return float(good + bad) / 2
    return 0.5


def model_version(run: Run, epoch: int | None = None) -> str:
    """The version's name: the run, and how many epochs it has learned from."""
    return f"{run.id}-epoch-{run.epoch if epoch is None else epoch}"
