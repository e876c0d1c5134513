"""Looks at the batches, images, checkpoints and reports of a run, and makes them again."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from PIL import Image

from backend.engine import Engine, OnProgress
from backend.engine_files import (
    batch_folder,
    checkpoint_folder,
    report_file,
    trouble_of_batch,
    trouble_of_checkpoint,
)
from backend.errors import DiskFull, EngineFailed, HeroServiceError
from backend.files import SUMS, read_checked, sha256, this_machine, whole
from backend.run.records import IMPORTED, Run
from backend.run.records import Image as ShownImage
from backend.settings import Settings
from backend.store import Store

_ASIDE = ".damaged"
_GONE = (
    "its pictures were imported, so no model can draw them; put the folder back from a copy, or "
    "import them into a new run."
)
OnFound = Callable[["Found"], None]


@dataclass(frozen=True)
class Found:
    """Something that was damaged."""

    what: str
    """Such as `the checkpoint after epoch 2`."""
    trouble: str
    mended: bool
    said: str = ""
    """Why it could not be made again."""


@dataclass(frozen=True)
class Mender:
    """What mending one run needs."""

    settings: Settings
    store: Store
    engine: Engine
    run: Run
    on_progress: OnProgress

    def batch(self, epoch: int, *, needed: bool) -> Iterator[Found]:
        """The epoch's batch, drawn again if it is damaged, or missing though it is needed."""
        folder = batch_folder(self.settings, self.run.id, epoch)
        if not folder.exists() and not needed:
            return
        trouble = trouble_of_batch(self.settings, self.run.id, epoch)
        if trouble is None:
            return
        images = self.store.images(self.run.id, epoch)
        if any(image.verdict_by == IMPORTED for image in images):
            yield Found(f"the batch of epoch {epoch + 1}", trouble, mended=False, said=_GONE)
            return
        seen = self._seen(folder, images)
        then = replace(self.run, epoch=epoch)
        yield self._made(
            f"the batch of epoch {epoch + 1}",
            trouble,
            [folder],
            lambda: self.engine.draw_again(then, seen, self.on_progress),
            lambda: trouble_of_batch(self.settings, self.run.id, epoch),
        )

    def images(self, epoch: int) -> Iterator[Found]:
        """The images that people see, put back from the batch."""
        folder = batch_folder(self.settings, self.run.id, epoch)
        for image in self.store.images(self.run.id, epoch):
            source = folder / "images" / Path(image.path).name
            shown = self.settings.images_dir / image.path
            if not source.exists() or (shown.exists() and sha256(shown) == sha256(source)):
                continue
            trouble = "it is not the batch's" if shown.exists() else "it is missing"
            with whole(shown) as partial:
                shutil.copyfile(source, partial)
            yield Found(f"image {image.index + 1} of epoch {epoch + 1}", trouble, mended=True)

    def beginning(self) -> Iterator[Found]:
        """The model that the run began with, if it goes on from another run, taken anew from
        there if it is damaged."""
        folder = checkpoint_folder(self.settings, self.run.id, 0)
        if self.run.parent_id is None or not folder.exists():
            return
        trouble = trouble_of_checkpoint(self.settings, self.run.id, 0)
        if trouble is not None:
            yield self._made(
                "the model that the run began with",
                trouble,
                [folder],
                lambda: self.engine.keep_beginning(self.run),
                lambda: trouble_of_checkpoint(self.settings, self.run.id, 0),
            )

    def checkpoint(self, epoch: int) -> Iterator[Found]:
        """The model after so many epochs, learned again if it is damaged, or missing though the run
        goes on from it."""
        folder = checkpoint_folder(self.settings, self.run.id, epoch)
        if not folder.exists() and epoch < self.run.epoch:
            return
        trouble = trouble_of_checkpoint(self.settings, self.run.id, epoch)
        if trouble is None:
            return
        learned = epoch - 1
        yield from self.batch(learned, needed=True)
        then = replace(self.run, epoch=learned)
        verdicts = [image.verdict for image in self.store.images(self.run.id, learned)]
        bests = self.store.epochs(self.run.id)[learned].bests
        yield self._made(
            f"the checkpoint after epoch {epoch}",
            trouble,
            [folder, report_file(self.settings, self.run.id, epoch)],
            lambda: self.engine.learn(then, verdicts, bests, self.on_progress),
            lambda: trouble_of_checkpoint(self.settings, self.run.id, epoch),
        )

    def _made(
        self,
        what: str,
        trouble: str,
        places: list[Path],
        make: Callable[[], object],
        look: Callable[[], str | None],
    ) -> Found:
        try:
            with _set_aside(places):
                make()
        except EngineFailed as error:
            return Found(what, trouble, mended=False, said=str(error))
        left = look()
        return Found(what, trouble, mended=left is None, said=left or "")

    def _seen(self, folder: Path, images: list[ShownImage]) -> Mapping[str, str]:
        """The checksums of the images that people have seen, as the batch recorded them, or else
        of the files that they see."""
        names = {f"images/{Path(image.path).name}": image for image in images}
        try:
            recorded = read_checked(folder / "batch.json").get(SUMS, {})
        except (OSError, ValueError):
            recorded = {}
        if recorded:
            return {name: recorded[name] for name in names if name in recorded}
        shown = {name: self.settings.images_dir / image.path for name, image in names.items()}
        return {name: sha256(path) for name, path in shown.items() if _is_whole(path)}


def mend(
    settings: Settings,
    store: Store,
    engine: Engine,
    run: Run,
    on_progress: OnProgress,
    on_found: OnFound = lambda found: None,
) -> list[Found]:
    """Make again what is damaged of a run, the oldest first.

    Nobody else may work on the run meanwhile. What cannot be made again stays as it was.

    Returns:
        What was damaged; nothing if all is whole.

    Raises:
        DiskFull
    """
    mender = Mender(settings, store, engine, run, on_progress)
    home = settings.run_dir(run.id)
    found: list[Found] = []
    drawn = len(store.epochs(run.id))
    for epoch in range(run.epoch + 1):
        _put_back(home)
        parts = [mender.checkpoint(epoch) if epoch else mender.beginning()]
        needed = epoch == run.epoch < drawn
        parts += [mender.batch(epoch, needed=needed), mender.images(epoch)]
        for each in chain(*parts):
            found.append(each)
            on_found(each)
    for kept, place in _all_aside(home):
        if place.exists():
            _remove(kept)
    return found


@contextmanager
def _set_aside(places: list[Path]) -> Iterator[None]:
    """Take files out of the way while others are made in their place: gone after the block, back
    where they were if they cannot be made.

    A mender whose step was dropped puts nothing back: the one that goes on in its stead may just be
    making them, and does it for what is left (`_put_back`).
    """
    mine = f"{this_machine()}-{os.getpid()}{_ASIDE}"
    aside = {place: place.with_name(f".{place.name}.{mine}") for place in places}
    for place, kept in aside.items():
        _remove(kept)
        if place.exists():
            place.rename(kept)
    try:
        yield
    except (EngineFailed, DiskFull):
        for place, kept in aside.items():
            if kept.exists() and not place.exists():
                kept.rename(place)
        raise
    for kept in aside.values():
        _remove(kept)


def _put_back(home: Path) -> None:
    """What a mending that was killed or dropped has taken out of the way: it says what people have
    seen."""
    for kept, place in _all_aside(home):
        if not place.exists():
            kept.rename(place)


def _all_aside(home: Path) -> Iterator[tuple[Path, Path]]:
    """What is set aside, and its place."""
    for kept in home.glob(f"*/.*{_ASIDE}"):
        named = re.match(r"\.(epoch-\d+(?:\.report\.json)?)\.", kept.name)
        if named:
            yield kept, kept.with_name(named[1])


def _is_whole(image: Path) -> bool:
    """Whether a PNG is there and fits its own checksums; another one is not what people saw."""
    try:
        with Image.open(image) as opened:
            opened.verify()
        with Image.open(image) as opened:
            opened.load()
    except (OSError, SyntaxError, ValueError):  # so Pillow says what is broken
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unmended(found: list[Found]) -> HeroServiceError | None:
    """What is to be said if something could not be made again."""
    lost = [each for each in found if not each.mended]
    if not lost:
        return None
    return EngineFailed(f"{lost[0].what.capitalize()} cannot be made again: {lost[0].said}")
