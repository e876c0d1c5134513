"""What a simulated team makes of a batch, by the service's rules."""

from types import SimpleNamespace

from backend.run.labelling import Labelling
from benchmarks.team import Team
from benchmarks.voting import Person, annotators
from tests.tinyworld.bright import PROMPT, BrightIsGood


def _team(labelling: Labelling, *people: Person) -> Team:
    judge = BrightIsGood()
    return Team(annotators(people, PROMPT, 1, judge), labelling, judge)


def _batch(images, epoch: int) -> SimpleNamespace:
    return SimpleNamespace(images=images, epoch=epoch, prompt=PROMPT, latents=None)


def _hero(predictions: list[float] | None) -> SimpleNamespace:
    return SimpleNamespace(predict=lambda latents: predictions)


def test_one_annotator_without_errors_is_always_right(images) -> None:
    team = _team(Labelling(), Person())
    feedback = team.label(_hero(None), _batch(images, 0))
    assert list(feedback.good) == BrightIsGood().success(images, PROMPT)
    noted = team.epochs[0]
    assert (noted["labels"], noted["accuracy"], noted["best_good"]) == (64, 1.0, True)
    assert noted["embedding_accuracy"] is None
    assert noted["judged_by_embedding"] == 0


def test_a_budget_asks_for_all_at_first_and_then_lets_the_embedding_judge_the_others(
    images,
) -> None:
    team = _team(Labelling(label_budget=16), Person())
    team.label(_hero(None), _batch(images, 0))
    team.note(0, {"reward_good": 0.9, "reward_bad": 0.1})
    truth = BrightIsGood().success(images, PROMPT)
    upside_down = [0.2 if good else 0.8 for good in truth]
    feedback = team.label(_hero(upside_down), _batch(images, 1))
    assert [epoch["labels"] for epoch in team.epochs] == [64, 16]
    noted = team.epochs[1]
    assert noted["judged_by_embedding"] == 48
    assert (noted["embedding_accuracy"], noted["unasked_accuracy"]) == (0.0, 0.0)
    assert noted["accuracy"] == 16 / 64
    assert sum(said == true for said, true in zip(feedback.good, truth, strict=True)) == 16


def test_the_threshold_of_the_embedding_lies_between_what_was_learned_of_good_and_bad(
    images,
) -> None:
    team = _team(Labelling(label_budget=2), Person())
    team.label(_hero(None), _batch(images, 0))
    team.note(0, {"reward_good": 0.9, "reward_bad": 0.5})
    assert team.label(_hero([0.71] * 64), _batch(images, 1)).good.count(True) >= 62
    team.note(1, {"reward_good": 0.9, "reward_bad": 0.6})
    assert team.label(_hero([0.71] * 64), _batch(images, 2)).good.count(False) >= 62


def test_three_people_outvote_one_who_errs(images) -> None:
    plan = Labelling(annotators_per_image=3)
    team = _team(plan, Person(), Person(), Person(adversary=True))
    team.label(_hero(None), _batch(images, 0))
    assert team.epochs[0]["accuracy"] == 1.0
    assert team.epochs[0]["best_good"]
    assert team.epochs[0]["labels"] == 3 * 64
