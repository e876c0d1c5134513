"""Which image of an epoch is the best one."""

from collections.abc import Collection, Mapping, Sequence

from backend.consensus.votes import Vote, is_good


def choose_best(
    chosen: Mapping[int, int],
    votes: Mapping[int, Sequence[Vote]],
    good: Collection[int],
    undecided: Collection[int] = (),
    predictions: Sequence[float | None] = (),
) -> tuple[int | None, str]:
    """The best image and the reason: most votes for the best, then share of good votes, then the
    embedding's similarity to the best so far, then the first.

    Args:
        chosen: number of people who chose an image as the best, by index.
        votes: all votes that count, by index.
        good: the images that are good by the votes.
        undecided: those on which as many say good as bad; a choice as the best settles them, if
            no good image was chosen.
        predictions: similarity to the best so far, by index.
    """
    shares = {index: sum(map(is_good, votes[index])) / len(votes[index]) for index in chosen}
    able = [index for index in chosen if index in good]
    able = able or [index for index in chosen if index in undecided]
    if not chosen:
        return None, "nobody chose a best image"
    if not able:
        return None, "every image that was chosen as the best is bad by the votes"
    most, leaders = _most_chosen(chosen, able)
    if len(leaders) == 1:
        return leaders[0], f"most votes for the best ({most})"
    tied = f"{len(leaders)} images with {most} best-vote{'s' if most > 1 else ''} each"
    share = max(shares[index] for index in leaders)
    leaders = [index for index in leaders if shares[index] == share]
    if len(leaders) == 1:
        return leaders[0], f"largest share of good votes ({share:.0%}) of {tied}"
    tied = f"{tied} and equal shares of good votes"
    similar = {index: _at(predictions, index) for index in leaders}
    highest = max((value for value in similar.values() if value is not None), default=None)
    leaders = [index for index in leaders if similar[index] == highest]
    if len(leaders) == 1:
        return leaders[0], f"most like the best so far ({highest:.2f}) of {tied}"
    return leaders[0], f"the first of {tied}"


def undecided(
    chosen: Mapping[int, int],
    marked: Collection[int],
    votes: Mapping[int, Sequence[Vote]],
    good: Collection[int],
) -> tuple[int, ...]:
    """The images of which people have to say which is the best; empty where that is clear.

    All good ones if nobody chose any of them; else those that share the lead, and all that were
    marked, where somebody marked several.

    Args:
        chosen: as for `choose_best`.
        marked: the images that anybody calls the best, also beside another one.
        votes: all votes that count, by index.
        good: the images that people call good.
    """
    able = {index: number for index, number in chosen.items() if index in good}
    if not able:
        return tuple(sorted(good)) if len(good) > 1 else ()
    _, leaders = _most_chosen(able, list(able))
    shares = {index: sum(map(is_good, votes[index])) / len(votes[index]) for index in leaders}
    tied = {index for index in leaders if shares[index] == max(shares.values())}
    beside = {index for index in marked if index in good} - able.keys()
    asked = (tied if len(tied) > 1 else set()) | (beside | tied if beside else set())
    return tuple(sorted(asked))


def _most_chosen(chosen: Mapping[int, int], able: Collection[int]) -> tuple[int, list[int]]:
    most = max(chosen[index] for index in able)
    return most, sorted(index for index in able if chosen[index] == most)


def _at(predictions: Sequence[float | None], index: int) -> float | None:
    return predictions[index] if index < len(predictions) else None
