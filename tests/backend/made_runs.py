"""Runs that a test fills by hand: images on the disk, votes in the store, no worker."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from PIL import Image

from backend.labels import closing
from backend.run.labelling import make_labelling
from backend.run.records import Annotation, Claim, ImportedBatch, Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store, tables
from backend.tasks.images import image_path

PROMPT = "photo of one blue rose in a vase"
REPORT = {
    "reward_good": 0.9,
    "reward_bad": 0.2,
    "embedding_loss": 0.03,
    "loss": -0.001,
    "clip_fraction": 0.12,
    "diversity": 0.5,
    "grad_norm": 0.02,
    "note": "",
}
_VALUES = {"g": "good", "b": "bad", "t": "best", "x": None}


class MadeRun:
    """One run, taken from stage to stage."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        prompt: str = PROMPT,
        title: str | None = None,
        epochs: int = 2,
        images: int = 4,
        project: int = 3,
        side: int = 32,
        config: dict[str, Any] | None = None,
        imported: ImportedBatch | None = None,
        **labelling: Any,
    ) -> None:
        self.settings, self.store, self.side = settings, store, side
        config = {"prompt": prompt, "epochs": epochs, "images_per_epoch": images, **(config or {})}
        self.id = store.create_run(
            config,
            title=title,
            labelling=make_labelling(**labelling),
            project_id=project,
            project_url=f"http://label-studio.test/projects/{project}",
            imported=imported,
        ).id

    @property
    def run(self) -> Run:
        return self.store.run(self.id)

    def claim(self) -> Claim:
        claim = self.store.claim("worker", 60)
        assert claim is not None
        assert claim.run.id == self.id
        return claim

    def draw(self, predictions: list[float] | None = None, asked: set[int] | None = None) -> Run:
        """generating -> labelling."""
        claim, run = self.claim(), self.run
        paths = [image_path(run.id, run.epoch, i) for i in range(run.images_per_epoch)]
        for index, path in enumerate(paths):
            target = self.settings.images_dir / path
            target.parent.mkdir(parents=True, exist_ok=True)
            colour = ((37 * index) % 256, (90 * run.epoch) % 256, 180)
            Image.new("RGB", (self.side, self.side), colour).save(target)
        prompts = [
            self.run.prompts[i * len(self.run.prompts) // len(paths)] for i in range(len(paths))
        ]
        several = prompts if len(self.run.prompts) > 1 else []
        run = self.store.batch_written(claim, paths, predictions, 12.5, prompts=several)
        if asked is not None:
            table = tables.images
            with self.store._write() as connection:
                connection.execute(
                    sa.update(table)
                    .where(table.c.run_id == run.id, table.c.epoch == run.epoch)
                    .where(table.c.index.not_in(asked))
                    .values(asked=False)
                )
        tasks = {index: 100 * run.epoch + index + 1 for index in range(len(paths))}
        return self.store.published(replace(claim, run=run), tasks, 0.5)

    def vote(self, *images: str, epoch: int | None = None, late: bool = False) -> None:
        """Votes on images 0, 1, ...: a letter a person (gbtx, - for nothing)."""
        run = self.run
        epoch = run.epoch if epoch is None else epoch
        now = self.store._now()
        rows = [
            Annotation(
                run_id=run.id, ls_id=10_000 * epoch + 100 * index + person + (50 if late else 0),
                epoch=epoch, index=index, task_id=100 * epoch + index + 1, annotator_id=person,
                annotator=f"{['ann', 'ben', 'cem', 'dot'][person]}@example.com",
                value=_VALUES[letter], problem=None, lead_time=1.5, created_at=now, updated_at=now,
                was_cancelled=letter == "x", late=late,
            )
            for index, letters in enumerate(images)
            for person, letter in enumerate(letters)
            if letter != "-"
        ]  # fmt: skip
        self.store.merge_annotations(run.id, epoch, lambda known, frozen: rows)

    def change_late(self, index: int, letter: str, epoch: int = 0) -> None:
        """A frozen annotation is edited after its epoch was closed."""

        def merge(known: list[Annotation], frozen: bool) -> list[Annotation]:
            row = next(row for row in known if row.index == index and row.frozen)
            return [replace(row, late=True, late_value=_VALUES[letter])]

        self.store.merge_annotations(self.id, epoch, merge)

    def learn(self, **report: Any) -> Run:
        """labelling -> the next epoch, or the end."""
        run = (
            self.store.transition(self.run, Event.advance)
            if self.run.state is State.labelling
            else None
        )
        claim, run = self.claim(), run or self.run
        closing.freeze(self.store, claim)
        judged = [image.verdict for image in self.store.images(run.id, run.epoch)]
        rewards = [{"best": 1.0, "good": 0.9, "bad": 0.2, None: 0.5}[v] for v in judged]
        run = self.store.learned(claim, {**REPORT, **report}, rewards, 40.0)
        self.store.release(claim)
        return run

    def go_round(self, *images: str, predictions: list[float] | None = None) -> Run:
        """One whole epoch."""
        self.draw(predictions)
        self.vote(*images)
        return self.learn()

    def sample_rows(self, rows: int, images: int = 4) -> None:
        """What the model draws after 0, 1, ... epochs."""
        for epoch in range(rows):
            folder = self.settings.run_dir(self.id) / "samples" / f"epoch-{epoch:04d}"
            folder.mkdir(parents=True)
            for index in range(images):
                picture = Image.new("RGB", (self.side,) * 2, (90 * epoch % 256, 40 * index, 120))
                picture.save(folder / f"{index:04d}.png")
