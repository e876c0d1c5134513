"""HERO labelled by a simulated team: the service's own rules between its votes and the engine."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from backend import consensus
from backend.consensus import BAD
from backend.run.labelling import Labelling
from backend.run.records import Annotation, Epoch
from backend.tasks import selection
from backend.tasks.predictions import good_from, verdicts
from benchmarks.training import OnStage, train
from benchmarks.voting import Person, annotators, votes
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from hero_engine.storage.batch import Batch, Feedback
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge


@dataclass
class Team:
    """People and how their labels are used; `label` is what HERO asks."""

    people: Sequence[Annotator]
    labelling: Labelling
    judge: Judge
    history: list[Annotation] = field(default_factory=list)
    learned: list[Epoch] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """Of each epoch: labels given, and what of the verdicts the judge agrees with."""

    def label(self, run: Method[Any], batch: Batch) -> Feedback:
        """The verdicts of a batch, of which as many images are asked as the plan says."""
        images = len(batch.images)
        foretold = run.predict(batch.latents)
        predictions = [None] * images if foretold is None else foretold
        threshold = good_from(self.learned, batch.epoch)
        asked = selection.choose(predictions, threshold, self.labelling.label_budget)
        cast = votes(self.people, batch.images, batch.epoch, asked)
        decision = consensus.decide(
            cast,
            images,
            self.labelling,
            history=self.history,
            asked=asked,
            predictions=predictions,
            threshold=threshold,
        )
        self.history += cast
        good = _goods(decision.verdicts)
        truth = self.judge.success(batch.images, batch.prompt)
        foreseen = _goods(verdicts(predictions, threshold))
        unasked = sorted(set(range(images)) - set(asked))
        best = decision.best_index
        self.epochs.append(
            {
                "labels": len(cast),
                "accuracy": _agreement(good, truth, range(images)),
                "good": sum(verdict is True for verdict in good),
                "truly_good": sum(truth),
                "best_good": None if best is None else truth[best],
                "embedding_accuracy": _agreement(foreseen, truth, range(images)),
                "judged_by_embedding": len(unasked),
                "unasked_accuracy": _agreement(good, truth, unasked),
                "unasked_good": _agreement([True] * images, truth, unasked),
            }
        )
        return Feedback(tuple(good), best)

    def note(self, epoch: int, report: dict[str, Any]) -> None:
        """Keep what was learned from an epoch; the next one's threshold comes from it."""
        self.learned.append(
            Epoch("benchmark", epoch, None, None, None, None, {}, report, None, None)
        )


def _goods(said: Sequence[str | None]) -> list[bool | None]:
    return [None if verdict is None else verdict != BAD for verdict in said]


def _agreement(
    verdicts: Sequence[bool | None], truth: Sequence[bool], indexes: Sequence[int]
) -> float | None:
    judged = [verdicts[index] == truth[index] for index in indexes if verdicts[index] is not None]
    return statistics.mean(map(float, judged)) if judged else None


def run_team(spec: dict[str, Any], on_stage: OnStage) -> dict[str, Any]:
    """One run by a job's specification: config, people, labelling, evaluated, images."""
    config = make_config(**spec["config"])
    judge = Judge.load()
    people = annotators(
        [Person(**person) for person in spec["people"]], config.prompt, config.seed, judge
    )
    team = Team(people, Labelling(**spec["labelling"]), judge)
    row = train(
        config,
        team.label,
        judge,
        on_stage,
        evaluated=spec["evaluated"],
        images=spec["images"],
        on_report=lambda report: team.note(report.epoch, report.to_dict()),
    )
    return row | {"labelling": team.epochs}
