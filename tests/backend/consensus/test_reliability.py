"""Verdicts and reliability against simulated annotators whose errors are known."""

import random
from dataclasses import replace

import pytest

from backend.consensus import decide
from backend.consensus.reliability import fit
from backend.labels import closing
from backend.labels.progress import count_labels
from backend.run.labelling import Labelling
from backend.run.states import Event
from tests.backend.votes import Vote, annotations

EPOCHS, IMAGES = 3, 48


def simulated(errors: list[float], seed: int) -> tuple[dict[tuple[int, int], bool], list[Vote]]:
    """The truth, and votes that are wrong with each person's probability."""
    dice = random.Random(seed)
    truth, votes = {}, []
    for epoch in range(EPOCHS):
        for index in range(IMAGES):
            truth[epoch, index] = good = dice.random() < 0.45 + 0.15 * epoch
            for person, error in enumerate(errors):
                said = good != (dice.random() < error)
                number = 10_000 * epoch + 10 * index + person
                value = "good" if said else "bad"
                votes.append(Vote(number, index, person, value, epoch=epoch))
    return truth, votes


def accuracy(policy: str, errors: list[float], seeds=(1, 2, 3)) -> float:
    """Share of right verdicts in the last epoch."""
    right = 0
    for seed in seeds:
        truth, votes = simulated(errors, seed)
        plan = Labelling(consensus=policy, annotators_per_image=len(errors))
        history = [vote for vote in votes if vote.epoch < EPOCHS - 1]
        present = [vote for vote in votes if vote.epoch == EPOCHS - 1]
        verdicts = decide(present, IMAGES, plan, history=history).verdicts
        right += sum((verdicts[i] != "bad") == truth[EPOCHS - 1, i] for i in range(IMAGES))
    return right / (len(seeds) * IMAGES)


@pytest.mark.parametrize("error", [0.1, 0.2, 0.3])
def test_three_equal_annotators_are_merged_as_well_as_by_the_majority(error):
    by_majority = accuracy("majority", [error] * 3)
    assert accuracy("dawid-skene", [error] * 3) >= by_majority - 0.02
    assert by_majority > 1 - error


@pytest.mark.parametrize("error", [0.1, 0.2, 0.3])
def test_an_adversary_among_three_is_found_out(error):
    found = accuracy("dawid-skene", [error, error, 0.95])
    assert found > 1 - error
    assert found > accuracy("majority", [error, error, 0.95]) + 0.05


def test_where_nearly_all_are_good_one_vote_for_good_can_outweigh_two_against_it():
    dice = random.Random(6)
    votes = [
        Vote(1000 * epoch + 10 * index + person, index, person, value, epoch=epoch)
        for epoch in range(4)
        for index in range(IMAGES)
        for good in [index % 2 if epoch == 0 else index > 0]
        for person in range(3)
        for value in ["good" if good != (dice.random() < 0.2) else "bad"]
    ]
    one_for_it = {
        place
        for place in {(vote.epoch, vote.index) for vote in votes}
        if sum(v.value == "good" for v in votes if (v.epoch, v.index) == place) == 1
    }
    probability = fit(votes, {}).probability
    for epoch, likely in [(0, False), (3, True)]:
        found = [probability[place] > 0.5 for place in one_for_it if place[0] == epoch]
        assert found and all(verdict == likely for verdict in found)


def test_the_estimated_accuracies_are_about_right():
    errors = [0.05, 0.3, 0.9]
    _, votes = simulated(errors, seed=4)
    estimated = fit(votes, {}).accuracy
    for person, error in enumerate(errors):
        assert estimated[f"user {person}"] == pytest.approx(1 - error, abs=0.1)


def test_an_adjudicator_tells_two_people_who_always_differ_apart():
    votes = [
        Vote(10 * index + person, index, person, "good" if index % 2 == person else "bad")
        for index in range(20)
        for person in (0, 1)
    ]
    truth = {(0, index): index % 2 == 1 for index in range(6)}
    learned = fit(votes, truth)
    assert learned.accuracy["user 1"] > 0.9 > 0.1 > learned.accuracy["user 0"]
    assert learned.probability[0, 19] > 0.9 > 0.1 > learned.probability[0, 18]


def test_two_people_who_always_differ_are_not_told_apart_without_one():
    votes = [
        Vote(10 * index + person, index, person, "good" if index % 2 == person else "bad")
        for index in range(20)
        for person in (0, 1)
    ]
    assert list(fit(votes, {}).accuracy.values()) == pytest.approx([0.5, 0.5])


def test_a_run_learns_from_its_earlier_epochs_whom_to_believe(store, config):
    plan = Labelling(consensus="dawid-skene", annotators_per_image=2)
    images = ["ggb", "bbg"] * 12
    run = store.create_run({**config, "images_per_epoch": len(images)}, labelling=plan)
    verdicts = []
    claim = store.claim("worker", 60)
    for epoch, votes in enumerate([images, ["g-b", "b-g"] * 12]):
        run = store.batch_written(claim, [f"{i}.png" for i in range(len(images))], None, 1.0)
        run = store.published(replace(claim, run=run), {i: i for i in range(len(images))}, 1.0)
        rows = annotations(run.id, *votes, epoch=epoch)
        store.merge_annotations(run.id, epoch, lambda *_, rows=rows: rows)
        assert count_labels(store, run.id, epoch).good == 12
        store.transition(run, Event.advance)
        claim = store.claim("worker", 60)
        closing.freeze(store, claim)
        verdicts = [image.verdict for image in store.images(run.id, epoch)]
        claim = replace(claim, run=store.learned(claim, {}, [], 1.0))
    assert verdicts == ["good", "bad"] * 12
