"""One epoch of a run, with what people and the engine said of its images. Reads only."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from backend import consensus
from backend.labels.progress import decide_epoch
from backend.run.records import IMPORTED, Annotation, Epoch, Image, Run
from backend.show.pictures import wilson_interval
from backend.store import Store
from backend.tasks.predictions import good_from
from backend.tasks.suggestions import Opening, openings


@dataclass(frozen=True)
class Vote:
    """What one person said of one image."""

    who: str
    """E-mail address, or the user's number where Label Studio does not give one."""
    value: str | None
    counts: bool
    note: str
    """Why it does not count, or what became of it later."""
    pick: bool = False
    """Whether they were asked which image is the best, and said this one."""

    @property
    def name(self) -> str:
        """What stands before the @."""
        return self.who.partition("@")[0]


@dataclass(frozen=True)
class Tile:
    """An image of the grid."""

    image: Image
    verdict: str | None
    """As decided; while the epoch is open, as it would be decided now."""
    votes: tuple[Vote, ...]
    is_best: bool

    @property
    def disputed(self) -> bool:
        """Whether the counting votes call it both good and bad."""
        votes = [vote for vote in self.votes if vote.counts and not vote.pick]
        said = {vote.value == consensus.BAD for vote in votes}
        return len(said) == 2


@dataclass(frozen=True)
class EpochFacts:
    """One epoch, with what people and the engine said of its images."""

    record: Epoch
    tiles: tuple[Tile, ...]
    total: int
    """Images in the epoch, also before they are drawn."""
    late: tuple[Annotation, ...]
    problems: tuple[Annotation, ...]
    anchor: Image | None
    """The image that this epoch's rewards compare with: its best, or the best of an earlier one."""
    reference: Image | None
    """The image that its predictions compare with: the best of the epochs before."""
    opening: Opening
    """How its page opened; of the layout gallery."""

    @property
    def number(self) -> int:
        """The number people see, counted from 1."""
        return self.record.epoch + 1

    @property
    def closed(self) -> bool:
        """Whether the verdicts are decided."""
        return self.record.labelled_at is not None

    @cached_property
    def verdicts(self) -> Counter[str | None]:
        """How many images of each verdict."""
        return Counter(tile.verdict for tile in self.tiles)

    @property
    def good(self) -> int:
        """Images called good or best."""
        return self.verdicts[consensus.GOOD] + self.verdicts[consensus.BEST]

    @property
    def judged(self) -> int:
        """Images with a verdict."""
        return self.good + self.verdicts[consensus.BAD]

    @property
    def imported(self) -> bool:
        """Whether the images and verdicts are from before the run; no model of it drew them."""
        return any(tile.image.verdict_by == IMPORTED for tile in self.tiles)

    @property
    def rate(self) -> float | None:
        """Share of the judged images that were called good; None of imported ones, which says
        nothing of the model."""
        return self.good / self.judged if self.judged and not self.imported else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of `rate`."""
        known = self.judged and not self.imported
        return wilson_interval(self.good, self.judged) if known else None

    @property
    def best(self) -> Tile | None:
        """The best image, where one is chosen."""
        return next((tile for tile in self.tiles if tile.is_best), None)

    @property
    def bests(self) -> list[Tile]:
        """The best images, at most one a prompt."""
        return [tile for tile in self.tiles if tile.is_best]

    @property
    def by_embedding(self) -> int:
        """Images that the embedding judged instead of people."""
        return sum(tile.image.verdict_by == "embedding" for tile in self.tiles)

    @property
    def disputed(self) -> int:
        """Images that some called good and others bad."""
        return sum(tile.disputed for tile in self.tiles)

    @cached_property
    def annotators(self) -> Counter[str]:
        """Images judged by each person."""
        votes = (vote for tile in self.tiles for vote in tile.votes)
        return Counter(vote.who for vote in votes if vote.counts and not vote.pick)

    def figure(self, name: str) -> float | None:
        """A number of the engine's report, if it is there."""
        return (self.record.report or {}).get(name)


def read_epochs(store: Store, run: Run) -> tuple[EpochFacts, ...]:
    """The run's epochs so far, in order."""
    return epochs_of(store, run, annotations_by_epoch(store, run))


def annotations_by_epoch(store: Store, run: Run) -> dict[int, list[Annotation]]:
    """A run's annotations, by epoch (0-based)."""
    found = defaultdict(list)
    for row in store.annotations(run.id):
        found[row.epoch].append(row)
    return found


def epochs_of(
    store: Store, run: Run, annotations: Mapping[int, list[Annotation]]
) -> tuple[EpochFacts, ...]:
    """Like `read_epochs`, where the annotations are at hand."""
    drawn_in_all = store.images(run.id)
    images = defaultdict(list)
    for image in drawn_in_all:
        images[image.epoch].append(image)
    made: list[EpochFacts] = []
    anchor = None
    records = store.epochs(run.id)
    for record, opening in zip(records, openings(run, records, drawn_in_all), strict=True):
        reference = anchor
        drawn, rows = images[record.epoch], annotations.get(record.epoch, [])
        tiles = _tiles(store, run, record, drawn, rows, good_from(records, record.epoch))
        if record.best_index is not None:
            anchor = next((i for i in drawn if i.index == record.best_index), anchor)
        if len(run.prompts) > 1:
            anchor = None  # each prompt has its own
        made.append(
            EpochFacts(
                record=record,
                tiles=tiles,
                total=len(drawn) or run.images_per_epoch,
                late=tuple(row for row in rows if row.late),
                problems=tuple({r.ls_id: r for r in rows if r.problem and not r.deleted}.values()),
                anchor=anchor if record.labelled_at else None,
                reference=reference,
                opening=opening,
            )
        )
    return tuple(made)


def _tiles(
    store: Store,
    run: Run,
    record: Epoch,
    images: Sequence[Image],
    rows: Sequence[Annotation],
    threshold: float,
) -> tuple[Tile, ...]:
    if record.labelled_at is not None:
        counting = {(row.ls_id, row.index) for row in rows if row.frozen}
        verdicts = [image.verdict for image in images]
        bests = record.bests
    else:
        votes = consensus.latest_votes(rows, run.labelling)
        picks = consensus.latest_picks(rows, run.labelling)
        counting = {(vote.ls_id, vote.index) for vote in [*votes, *picks]}
        decision = decide_epoch(store, run, record.epoch, rows, threshold)
        verdicts, bests = list(decision.verdicts), decision.bests
    said = defaultdict(list)
    for row in rows:
        counts = (row.ls_id, row.index) in counting
        if row.pick and row.value is None:
            continue
        vote = Vote(consensus.name_of(row), row.value, counts, _note(row, counts), row.pick)
        said[row.index].append(vote)
    return tuple(
        Tile(image, verdict, tuple(said[image.index]), image.index in bests)
        for image, verdict in zip(images, verdicts, strict=True)
    )


def _note(row: Annotation, counts: bool) -> str:
    if row.late:
        became = "deleted" if row.deleted else row.late_value or "skipped"
        return f"later {became}" if counts else "late"
    if counts:
        return "asked for the best" if row.pick else ""
    if row.deleted:
        return "deleted"
    if row.was_cancelled:
        return "skipped"
    return row.problem or "does not count"
