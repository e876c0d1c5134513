"""The votes on pairs, fetched: after a webhook, once in a while, and when somebody asks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from backend.comparing.result import Result, decided, result_of
from backend.errors import HeroServiceError, ProjectGone
from backend.labels.parsing import moment, person_of
from backend.run.comparison import Comparison, LabelledPair, PairVote
from backend.store import Store
from backend.tasks.pairs import read_choice

logger = logging.getLogger(__name__)


class VoteSource(Protocol):
    """What is asked of the gateway."""

    def pair_labels(self, project_id: int, comparison: Comparison) -> Sequence[LabelledPair]:
        """Each pair with its annotations."""
        ...

    def emails(self, wanted: Sequence[int]) -> dict[int, str]:
        """E-mail address of each user, by id."""
        ...


def fetch_votes(store: Store, source: VoteSource, comparison: Comparison) -> Result:
    """Make the votes of a comparison equal to what stands in Label Studio now.

    A project that is gone ends the looking; the votes that were fetched before stay.

    Raises:
        LabelStudioError: nothing was changed.
    """
    if comparison.project_id is None:
        return result_of(comparison, store.pair_votes(comparison.id))
    try:
        found = source.pair_labels(comparison.project_id, comparison)
    except ProjectGone as error:
        logger.warning("comparison %s: %s", comparison.id, error)
        store.end_comparison(comparison)
        return result_of(comparison, store.pair_votes(comparison.id))
    people = {person_of(said) for _, annotations in found for said in annotations} - {None}
    emails = source.emails([each for each in people if each is not None]) if people else {}
    votes = [
        _vote(comparison, pair, annotation, emails)
        for pair, annotations in found
        for annotation in annotations
    ]
    complete = len(decided(comparison, votes)) == comparison.pairs
    store.set_pair_votes(comparison, votes, complete=complete)
    return result_of(comparison, votes)


def fetch_due(store: Store, source: Callable[[], VoteSource], poll_seconds: float) -> bool:
    """Fetch the votes of every comparison that is due; False if Label Studio could not be asked."""
    reached = True
    for comparison in store.take_due_comparisons(poll_seconds):
        try:
            fetch_votes(store, source(), comparison)
        except HeroServiceError as error:
            logger.warning("comparison %s: %s", comparison.id, error)
            reached = False
    return reached


def results(store: Store, run_id: str) -> tuple[Result, ...]:
    """What has come of a run's comparisons that people could see, the newest first."""
    return tuple(
        result_of(comparison, store.pair_votes(comparison.id))
        for comparison in store.comparisons(run_id)
        if comparison.published_at is not None
    )


def _vote(
    comparison: Comparison, pair: int, annotation: Mapping[str, Any], emails: Mapping[int, str]
) -> PairVote:
    who = person_of(annotation)
    cancelled = bool(annotation.get("was_cancelled"))
    return PairVote(
        comparison_id=comparison.id,
        ls_id=int(annotation["id"]),
        pair=pair,
        annotator_id=who,
        annotator=None if who is None else emails.get(who),
        choice=None if cancelled else read_choice(annotation.get("result")),
        was_cancelled=cancelled,
        lead_time=annotation.get("lead_time"),
        created_at=moment(annotation["created_at"]),
        updated_at=moment(annotation["updated_at"]),
    )
