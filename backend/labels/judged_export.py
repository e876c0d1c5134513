"""A JSON export of any image classification project in Label Studio -> judged pictures.

Several annotations of one picture become a verdict as in a run. A picture that several tasks show
is one picture.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from backend.consensus import BAD, BEST, GOOD, decide
from backend.errors import BadInput
from backend.files import sha256
from backend.labels.import_annotations import Entry, read_file
from backend.labels.judged import Judged, refused, shown
from backend.labels.parsing import choices_of, moment, person_of
from backend.run.labelling import Labelling
from backend.run.records import IMPORTED, Annotation, Verdicts

_PICTURE = re.compile(
    r"^/data/|^data:image|\.(png|jpe?g|webp|gif|bmp|tiff?|avif)([?#].*)?$", re.IGNORECASE
)
_MARK = re.compile(r"^[0-9a-f]{8}-")
"""Label Studio puts it before the name of an uploaded file."""


@dataclass(frozen=True)
class Words:
    """What people chose in a project, by what it means here. Capitals make no difference."""

    good: tuple[str, ...] = (GOOD,)
    bad: tuple[str, ...] = (BAD,)
    best: tuple[str, ...] = (BEST,)
    skip: tuple[str, ...] = ()
    """Means nothing: such pictures are left out."""

    @property
    def meaning(self) -> dict[str, str | None]:
        """By the word, in small letters.

        Raises:
            BadInput: a word means two things.
        """
        found: dict[str, str | None] = {}
        of = ((GOOD, self.good), (BAD, self.bad), (BEST, self.best), (None, self.skip))
        for value, words in of:
            for word in words:
                if found.setdefault(word.casefold(), value) != value:
                    raise BadInput(
                        f"Cannot import labels: the word {word!r} cannot mean two things; leave it "
                        "out of all but one of --good, --bad, --best and --skip."
                    )
        return found


def read_export(
    source: Path, words: Words, pictures: Path | None = None, labelling: Labelling | None = None
) -> Judged:
    """The pictures of an export, and what the votes on each amount to.

    Args:
        pictures: the folder with the images; that of the export if None.
        labelling: whose consensus and adjudicators decide.

    Raises:
        BadInput: it is no such export, a picture is not there, or a word is not known.
    """
    meaning, tasks = words.meaning, read_file(source)
    labelled = [task for task in tasks if any(_choices(entry) for entry in task["annotations"])]
    if not labelled:
        raise refused(
            source,
            "none of its annotations has choices",
            "export a project in which people chose between words such as good and bad",
        )
    _check_words(source, labelled, meaning)
    field, folder = _field(source, labelled), pictures or source.parent
    paths: list[Path] = []
    indexes: dict[str, int] = {}
    rows: list[Annotation] = []
    for task in labelled:
        path = _find(source, task, field, folder)
        index = indexes.setdefault(sha256(path), len(paths))
        if index == len(paths):
            paths.append(path)
        rows += [
            _vote(source, task, entry, number, index, meaning)
            for number, entry in enumerate(task["annotations"], len(rows))
        ]
    rules = (labelling or Labelling()).model_copy(
        update={"annotators": (), "annotators_per_image": 1}
    )
    decision = decide(rows, len(paths), rules)
    judged = [index for index, image in enumerate(decision.images) if image.value is not None]
    images = tuple(
        replace(image, by=IMPORTED, reason=f"{image.reason}, in {source.name}")
        for image in (decision.images[index] for index in judged)
    )
    best = None if decision.best_index is None else judged.index(decision.best_index)
    return Judged(
        source,
        tuple(paths[index] for index in judged),
        Verdicts(images, best, decision.best_reason, frozenset()),
        tuple(_left_out(len(tasks) - len(labelled), len(paths) - len(judged))),
    ).check()


def _left_out(unlabelled: int, skipped: int) -> Iterator[str]:
    if unlabelled:
        yield f"Tasks in which nothing was chosen, left out: {unlabelled}."
    if skipped:
        yield f"Pictures of which nobody said good or bad, left out: {skipped}."


def _choices(entry: Entry) -> list[str]:
    if entry.get("was_cancelled"):
        return []
    return [word for word in choices_of(entry.get("result")) if isinstance(word, str)]


def _check_words(source: Path, tasks: Iterable[Entry], meaning: Mapping[str, str | None]) -> None:
    """See that every annotation says something that is known; other controls of the page may say
    what they like beside it."""
    strange: dict[str, None] = {}
    for task in tasks:
        for entry in task["annotations"]:
            said = _choices(entry)
            if said and not any(word.casefold() in meaning for word in said):
                strange |= dict.fromkeys(said)
    if strange:
        raise refused(
            source,
            f"it is not known what {shown(list(strange))} means",
            "say it by --good WORD, --bad WORD or --best WORD, or by --skip WORD to leave such "
            "pictures out",
        )


def _vote(
    source: Path,
    task: Entry,
    entry: Entry,
    number: int,
    index: int,
    meaning: Mapping[str, str | None],
) -> Annotation:
    known = {
        value for word in _choices(entry) if (value := meaning.get(word.casefold())) is not None
    }
    if len(known) > 1:
        raise refused(
            source,
            f"an annotation of task {task.get('id')} says {' and '.join(sorted(known))}",
            "correct it in Label Studio, where one alone is needed",
        )
    person, changed = entry.get("completed_by"), _changed(source, task, entry)
    return Annotation(
        run_id="",
        ls_id=number,
        epoch=0,
        index=index,
        task_id=0,
        annotator_id=person_of(entry),
        annotator=person.get("email") if isinstance(person, Mapping) else None,
        value=next(iter(known), None),
        problem=None,
        lead_time=None,
        created_at=changed,
        updated_at=changed,
        was_cancelled=bool(entry.get("was_cancelled")),
    )


def _changed(source: Path, task: Entry, entry: Entry) -> datetime:
    """When an annotation was changed last."""
    said = entry.get("updated_at") or entry.get("created_at")
    if said is None:
        return datetime.min.replace(tzinfo=UTC)
    try:
        found = moment(str(said))
    except ValueError as error:
        raise refused(
            source,
            f"an annotation of task {task.get('id')} was made at {said!r}, which is no time",
            "export the project again",
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _field(source: Path, tasks: Sequence[Entry]) -> str:
    """The name of the tasks' data that holds the picture."""
    names = {
        name
        for task in tasks
        for name, value in task["data"].items()
        if isinstance(value, str) and _PICTURE.search(value)
    }
    if "image" in names or len(names) == 1:
        return "image" if "image" in names else names.pop()
    if not names:
        raise refused(source, "its tasks show no picture", "export a project that shows images")
    raise refused(
        source,
        f"its tasks have several pictures ({', '.join(sorted(names))})",
        "leave one of them in the tasks' data",
    )


def _find(source: Path, task: Entry, field: str, folder: Path) -> Path:
    """Where a task's picture lies."""
    address = task["data"].get(field)
    if not isinstance(address, str):
        raise refused(source, f"task {task.get('id')} has no {field}", "remove it from the export")
    if re.match(r"[a-z][a-z0-9+.-]+:", address, re.IGNORECASE):
        raise refused(
            source,
            f"the picture of task {task.get('id')} is at {address[:60]!r}, and only pictures on "
            "this machine's disk are read",
            "download them, and import them from folders good/ and bad/",
        )
    for tail in _tails(address):
        if (folder / tail).is_file():
            return folder / tail
    raise refused(
        source,
        f"the picture of task {task.get('id')}, {address}, does not lie below {folder}",
        "name the folder that holds the images by --pictures",
    )


def _tails(address: str) -> Iterator[Path]:
    """Where a picture may lie below a folder, by its address in Label Studio: the longest path
    first."""
    parts: Any = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    path = local[0] if local else unquote(parts.path)
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names or not names:
        return
    for first in range(len(names)):
        yield Path(*names[first:])
    yield Path(_MARK.sub("", names[-1]))
