"""Runs, and what has come of their epochs so far."""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from backend.errors import ProjectTaken, RunAmbiguous, RunNotFound
from backend.run.chain import Chain, ImportedLabels, Parent
from backend.run.labelling import Labelling
from backend.run.records import IMPORTED, Annotation, Epoch, Image, ImportedBatch, Run
from backend.run.states import State
from backend.store import tables
from backend.store.database import Database
from backend.store.rows import frozen_at, of_run, record, run_row, update

LONGEST_CHAIN = 100
"""So many runs before one are looked up."""
LATEST = "latest"
"""Stands for the newest run, where a person names one."""


class Runs(Database):
    """Making runs, and looking at them."""

    @staticmethod
    def new_run_id(prompt: str) -> str:
        """A short id that a person can read: the prompt's words and four random characters."""
        words = [w for w in re.findall(r"[a-z0-9]+", prompt.lower()) if w not in _SMALL_WORDS]
        slug = "-".join(words[:4])[:32].strip("-") or "run"
        return f"{slug}-{''.join(secrets.choice(_BASE32) for _ in range(4))}"

    def create_run(
        self,
        config: Mapping[str, Any],
        *,
        labelling: Labelling | None = None,
        title: str | None = None,
        run_id: str | None = None,
        project_id: int | None = None,
        project_url: str | None = None,
        forecast: Mapping[str, Any] | None = None,
        parent: Parent | None = None,
        imported: ImportedBatch | None = None,
    ) -> Run:
        """A new run, ready to be worked on.

        Args:
            config: the engine's configuration as JSON; `prompt`, `epochs` and
                `images_per_epoch` are read here.
            labelling: the defaults if None.
            title: what people call it; the prompt by default.
            run_id: from `new_run_id`, if its project exists already.
            forecast: what an epoch takes, if the model was tried.
            parent: the run that it goes on from.
            imported: its first epoch, if people have judged that before. The run begins by learning
                from it.

        Raises:
            ProjectTaken: the project is another run's.
        """
        now = self._now()
        values = {
            "id": run_id or self.new_run_id(config["prompt"]),
            "prompt": config["prompt"],
            "title": title or config["prompt"],
            "config": dict(config),
            "labelling": (labelling or Labelling()).model_dump(mode="json"),
            "state": State.generating if imported is None else State.learning,
            "version": 0,
            "epoch": 0,
            "project_id": project_id,
            "project_url": project_url,
            "created_at": now,
            "updated_at": now,
            "fencing_token": 0,
            "forecast": None if forecast is None else dict(forecast),
            **(parent.columns if parent else {}),
        }
        with self._taking(values["id"], project_id) as connection:
            connection.execute(sa.insert(tables.runs).values(values))
            if imported is not None:
                self._insert_imported(connection, values["id"], imported)
            return run_row(connection, values["id"])

    def _insert_imported(
        self, connection: Connection, run_id: str, imported: ImportedBatch
    ) -> None:
        now, verdicts = self._now(), imported.verdicts
        connection.execute(
            sa.insert(tables.epochs).values(
                run_id=run_id,
                epoch=0,
                generated_at=now,
                labelled_at=now,
                seconds={},
                best_index=verdicts.best_index,
                best_reason=verdicts.best_reason,
            )
        )
        pairs = zip(imported.paths, verdicts.images, strict=True)
        connection.execute(
            sa.insert(tables.images),
            [
                {
                    "run_id": run_id,
                    "epoch": 0,
                    "index": index,
                    "path": path,
                    "asked": True,
                    "verdict": verdict.value,
                    "verdict_by": verdict.by,
                    "verdict_reason": verdict.reason,
                }
                for index, (path, verdict) in enumerate(pairs)
            ],
        )

    def run(self, run_id: str) -> Run:
        """A run by its id, or by the beginning of it; `latest` is the newest run.

        Raises:
            RunNotFound: no run's id begins so.
            RunAmbiguous: several do.
        """
        if run_id == LATEST and (newest := self.runs()):
            return newest[0]
        with self._read() as connection:
            rows = connection.execute(
                sa.select(tables.runs).where(
                    tables.runs.c.id.startswith(run_id, autoescape=True) if run_id else sa.false()
                )
            ).all()
        found = [record(Run, row) for row in rows]
        exact = [run for run in found if run.id == run_id]
        if len(found) > 1 and not exact:
            ids = ", ".join(sorted(run.id for run in found))
            raise RunAmbiguous(
                f"Cannot tell which run {run_id!r} means: {ids}; give more of it, or `{LATEST}` "
                "for the newest run."
            )
        if not found:
            raise RunNotFound(
                f"Cannot find a run whose id begins with {run_id!r}; `hero runs` lists the runs."
            )
        return (exact or found)[0]

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        query = sa.select(tables.runs).order_by(tables.runs.c.created_at.desc(), tables.runs.c.id)
        return self._records(Run, query)

    def chain(self, run: Run) -> Chain:
        """The runs that a run goes on from, one after the other, those that go on from it, and the
        labels that it began with."""
        before: list[Parent] = []
        at = run
        while at.parent_id is not None and len(before) < LONGEST_CHAIN:
            before.append(Parent(at.parent_id, at.parent_epoch or 0, at.parent_labels))
            try:
                at = self.run(at.parent_id)
            except RunNotFound:
                break
        query = sa.select(tables.runs).where(tables.runs.c.parent_id == run.id)
        after = self._records(Run, query.order_by(tables.runs.c.created_at))
        return Chain(tuple(before), tuple(each.id for each in after), self._imported(run))

    def _imported(self, run: Run) -> ImportedLabels | None:
        images = tables.images.c
        query = sa.select(images.verdict).where(
            images.run_id == run.id, images.epoch == 0, images.verdict_by == IMPORTED
        )
        with self._read() as connection:
            said = connection.scalars(query).all()
        bad = sum(verdict == "bad" for verdict in said)
        return ImportedLabels(len(said) - bad, bad) if said else None

    def states(self) -> dict[str, State]:
        """Where each run stands, by id."""
        with self._read() as connection:
            rows = connection.execute(sa.select(tables.runs.c.id, tables.runs.c.state))
            return {run_id: State(state) for run_id, state in rows}

    def run_of_project(self, project_id: int) -> Run | None:
        """The run whose images stand in a project of Label Studio."""
        query = sa.select(tables.runs).where(tables.runs.c.project_id == project_id)
        return next(iter(self._records(Run, query)), None)

    def set_project(self, run_id: str, project_id: int, project_url: str) -> Run:
        """Remember the run's project in Label Studio.

        Raises:
            ProjectTaken: it is another run's.
        """
        with self._taking(run_id, project_id) as connection:
            update(
                connection,
                run_id,
                project_id=project_id,
                project_url=project_url,
                project_gone=False,
            )
            return run_row(connection, run_id)

    def move_projects(self, base: str) -> None:
        """Let the addresses of all projects be `base` and their numbers."""
        runs = tables.runs
        address = sa.literal(base) + sa.cast(runs.c.project_id, sa.String)
        elsewhere = sa.and_(runs.c.project_id.is_not(None), runs.c.project_url != address)
        with self._read() as connection:
            moved = connection.scalar(sa.select(runs.c.id).where(elsewhere).limit(1))
        if moved is not None:
            with self._write() as connection:
                connection.execute(sa.update(runs).where(elsewhere).values(project_url=address))

    @contextmanager
    def _taking(self, run_id: str, project_id: int | None) -> Iterator[Connection]:
        """A transaction that gives a project to a run."""
        try:
            with self._write() as connection:
                yield connection
        except IntegrityError as error:
            other = None if project_id is None else self.run_of_project(project_id)
            if other is None or other.id == run_id:
                raise
            raise ProjectTaken(
                f"Cannot give project {project_id} of Label Studio to the run {run_id}: the run "
                f"{other.id} has it; start the new run in a project of its own."
            ) from error

    def epochs(self, run_id: str) -> list[Epoch]:
        """A run's epochs so far, in order."""
        table = tables.epochs
        query = sa.select(table).where(table.c.run_id == run_id).order_by(table.c.epoch)
        return self._records(Epoch, query)

    def images(self, run_id: str, epoch: int | None = None) -> list[Image]:
        """A run's (or one epoch's) images, in order."""
        return self._records(Image, of_run(tables.images, run_id, epoch, "index"))

    def annotations(self, run_id: str, epoch: int | None = None) -> list[Annotation]:
        """A run's (or one epoch's) annotations, deleted and late ones too, by id."""
        return self._records(Annotation, of_run(tables.annotations, run_id, epoch, "ls_id"))

    def is_frozen(self, run_id: str, epoch: int) -> bool:
        """Whether an epoch's verdicts are decided."""
        with self._read() as connection:
            return connection.scalar(frozen_at(run_id, epoch)) is not None

    def votes(self, run_id: str, epoch: int) -> list[Annotation]:
        """The annotations that an epoch's verdicts are made of, or were, as they were used."""
        rows = self.annotations(run_id, epoch)
        if not self.is_frozen(run_id, epoch):
            return rows
        return [replace(row, deleted=False) for row in rows if row.frozen]

    def note(self, run: Run, error: str | None) -> None:
        """Show (or take back) what a run waits for; nothing if it is in another state by now."""
        with self._write() as connection:
            update(connection, run.id, tables.runs.c.version == run.version, error=error)


_BASE32 = "abcdefghjkmnpqrstvwxyz23456789"
_SMALL_WORDS = {"a", "an", "one", "the", "of", "in", "on", "at", "and", "with", "photo", "picture"}
