"""An epoch's votes -> its verdicts and its best image."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from backend.consensus.best import choose_best, undecided
from backend.consensus.policies import POLICIES, tally
from backend.consensus.votes import (
    BAD,
    BEST,
    GOOD,
    Vote,
    is_good,
    last_words,
    latest_bests,
    latest_picks,
    latest_votes,
    name_of,
)
from backend.run.labelling import Labelling
from backend.run.records import By, Verdict, Verdicts


@dataclass(frozen=True)
class Decision(Verdicts):
    """The verdicts of an epoch, and how far its labelling is."""

    asked: frozenset[int]
    """The images that people are asked about."""
    undecided: tuple[int, ...] = ()
    """The images of which people have to say which is the best, once all are judged: of one prompt,
    where that is not clear of several."""

    @property
    def verdicts(self) -> tuple[str | None, ...]:
        """good, bad or best an image; None where nobody judged it. At most one is best."""
        return tuple(image.value for image in self.images)

    @property
    def by(self) -> tuple[By | None, ...]:
        """Who judged each image."""
        return tuple(image.by for image in self.images)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why each image was judged so."""
        return tuple(image.reason for image in self.images)

    @property
    def voters(self) -> tuple[int, ...]:
        """Number of people whose votes count, an image."""
        return tuple(image.voters for image in self.images)

    @property
    def labelled(self) -> int:
        """Number of asked images that have all the votes they need."""
        return sum(self.images[index].labelled for index in self.asked)

    @property
    def good(self) -> int:
        """Number of images that people, not the embedding, called good or best."""
        return sum(i.value in (GOOD, BEST) and i.by != "embedding" for i in self.images)

    @property
    def bad(self) -> int:
        """Number of images that people, not the embedding, called bad."""
        return sum(image.value == BAD and image.by != "embedding" for image in self.images)

    @property
    def complete(self) -> bool:
        """Every asked image has its votes, and it is clear which is the best, or none is good."""
        return self.labelled >= len(self.asked) and not self.undecided


def decide(
    votes: Iterable[Vote],
    images: int,
    labelling: Labelling | None = None,
    *,
    history: Iterable[Vote] = (),
    asked: Collection[int] | None = None,
    predictions: Sequence[float | None] = (),
    threshold: float = 0.5,
    prompts: Sequence[str] = (),
) -> Decision:
    """The verdicts of one epoch. Of several prompts, each has a best image of its own.

    Args:
        votes: all annotations of the epoch; those that count are chosen here.
        images: number of images of the epoch.
        labelling: the run's plan: who may vote, how many have to, how votes are merged.
        history: the votes that counted in the run's earlier epochs.
        asked: the images that people are asked about, all by default; the embedding judges the
            others.
        predictions: similarity to the best so far (Eq. 4), by index.
        threshold: the similarity from which the embedding calls an image good.
        prompts: what each image was drawn with, in a run of several prompts.
    """
    labelling = labelling or Labelling()
    asked = frozenset(range(images) if asked is None else asked)
    votes = list(votes)
    groups = _by_prompt(images, prompts)
    latest = latest_votes(votes, labelling)
    picks = [
        pick
        for group in groups.values()
        for pick in latest_picks((vote for vote in votes if vote.index in group), labelling)
    ]
    counting = [vote for vote in latest if 0 <= vote.index < images]
    cast: dict[int, list[Vote]] = {}
    for vote in counting:
        cast.setdefault(vote.index, []).append(vote)
    settled = {vote.index: vote for vote in last_words(counting, labelling).values()}
    known = [vote for vote in history if not vote.pick]
    merged = _merged(cast, settled, counting, known, labelling)

    judged = []
    for index in range(images):
        people = cast.get(index, [])
        if index in settled:
            last = settled[index]
            value = GOOD if is_good(last) else BAD
            verdict = Verdict(
                value, "adjudicator", f"settled by {name_of(last)}", len(people), True
            )
        elif index in merged:
            good, reason = merged[index]
            enough = len(people) >= labelling.annotators_per_image
            verdict = Verdict(GOOD if good else BAD, "people", reason, len(people), enough)
        else:
            similarity = predictions[index] if index < len(predictions) else None
            verdict = _by_embedding(None if index in asked else similarity, threshold)
        judged.append(verdict)

    bests: list[int] = []
    reasons: list[str] = []
    undecided: list[tuple[int, ...]] = []
    for prompt, group in groups.items():
        best, reason, unclear = _best(
            [vote for vote in counting if vote.index in group],
            [pick for pick in picks if pick.index in group],
            {index: people for index, people in cast.items() if index in group},
            {index: last for index, last in settled.items() if index in group},
            {index: judged[index] for index in group},
            asked & group,
            predictions,
            labelling,
        )
        reasons.append(f"{prompt}: {reason}" if prompts else reason)
        undecided += [unclear] if unclear else []
        bests += [] if best is None else [best]
    for index in bests:
        judged[index] = replace(judged[index], value=BEST)
    counted = frozenset((vote.ls_id, vote.index) for vote in [*latest, *picks])
    return Decision(
        tuple(judged),
        bests[0] if bests else None,
        "; ".join(reasons),
        counted,
        asked,
        undecided[0] if undecided else (),
    )


def _by_prompt(images: int, prompts: Sequence[str]) -> dict[str, set[int]]:
    """The images of each prompt; all of them in a run of one."""
    groups: dict[str, set[int]] = {}
    for index in range(images):
        groups.setdefault(prompts[index] if prompts else "", set()).add(index)
    return groups


def _merged(
    cast: dict[int, list[Vote]],
    settled: dict[int, Vote],
    counting: list[Vote],
    history: list[Vote],
    labelling: Labelling,
) -> dict[int, tuple[bool, str]]:
    """What the policy makes of the votes on each image that no adjudicator settled."""
    merged, split = {}, {}
    for index, votes in cast.items():
        if index in settled:
            continue
        if len({is_good(vote) for vote in votes}) > 1:
            split[index] = votes
        else:
            merged[index] = is_good(votes[0]), tally(votes)
    if split:
        known = [*history, *counting]
        truth = {place: is_good(vote) for place, vote in last_words(known, labelling).items()}
        merged |= POLICIES[labelling.consensus](split, known, truth)
    return merged


def _by_embedding(similarity: float | None, threshold: float) -> Verdict:
    if similarity is None:
        return Verdict(None, None, "nobody judged it", 0, False)
    reason = f"similarity {similarity:.2f} to the best so far, good from {threshold:.2f}"
    return Verdict(GOOD if similarity >= threshold else BAD, "embedding", reason, 0, False)


def _best(
    counting: list[Vote],
    picks: list[Vote],
    cast: dict[int, list[Vote]],
    settled: dict[int, Vote],
    judged: Mapping[int, Verdict],
    asked: Collection[int],
    predictions: Sequence[float | None],
    labelling: Labelling,
) -> tuple[int | None, str, tuple[int, ...]]:
    """The best image, why, and of which images people have to say it."""
    by_people = {i for i in cast if judged[i].value == GOOD}
    answers = [vote for vote in picks if vote.index in by_people]
    last = [vote for vote in answers if labelling.adjudicates(vote.annotator)]
    if answers:
        liked = Counter(vote.index for vote in last or answers)
        index, reason = choose_best(liked, cast, by_people, (), predictions)
        said = " and ".join(sorted({name_of(vote) for vote in last or answers}))
        return index, f"{reason}, asked for the best: {said}", ()
    bests = latest_bests(counting)
    by_adjudicators = [vote for vote in bests if settled.get(vote.index) is vote]
    names = sorted({name_of(vote) for vote in by_adjudicators})
    chosen = Counter(vote.index for vote in by_adjudicators or bests)
    good = {i for i, verdict in judged.items() if verdict.value == GOOD}
    even = {
        i for i in cast.keys() - settled.keys() if 2 * sum(map(is_good, cast[i])) == len(cast[i])
    }
    index, reason = choose_best(chosen, cast, good, even, predictions)
    if names:
        return index, f"{reason}, chosen by {' and '.join(names)}", ()
    if index is None and len(by_people) == 1 and all(judged[i].labelled for i in asked):
        return min(by_people), "the only good image", ()
    if index is not None and index not in good:
        return index, reason, ()
    marked = [vote.index for vote in counting if vote.value == BEST]
    return index, reason, undecided(chosen, marked, cast, by_people)
