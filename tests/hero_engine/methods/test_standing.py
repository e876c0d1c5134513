import dataclasses

import pytest
import torch

from hero_engine.feedback.evidence import Tally
from hero_engine.methods.base import Method
from hero_engine.methods.standing import Judged, Standing, came_back
from hero_engine.report import Report
from hero_engine.storage.batch import Feedback

FEW = {
    "method": "hero+",
    "denoising_steps": 2,
    "denoising_batch_size": 4,
    "images_per_epoch": 8,
}
PRETRAINED = {"lora": {"a": torch.zeros(1)}}
FIRST = {"lora": {"a": torch.ones(1)}}


def good(count: int) -> Feedback:
    return Feedback(tuple(index < count for index in range(8)), best=0 if count else None)


def lora_of(run):
    return torch.cat([value.flatten() for value in run.policy.lora_state().values()])


@pytest.fixture
def run(make_config):
    return Method.create(make_config(**FEW))


# -- the record ------------------------------------------------------------------------------------


def test_a_challenger_that_is_no_better_brings_the_judged_model_back():
    standing = Standing()
    assert standing.judge([True, False]) is None
    standing.updated(PRETRAINED, epochs=1)
    assert standing.last_judged == Judged(0, Tally(1, 2))
    assert standing.judge([False, False]) is PRETRAINED
    assert standing.current == Judged(0, Tally(1, 2))
    assert standing.champion is standing.tensors is None


@pytest.mark.parametrize(
    ("champion", "challenger", "back"),
    [(8, 7, False), (8, 5, False), (8, 2, True), (40, 39, True), (40, 40, False)],
)
def test_on_the_way_up_a_small_fall_is_chance_and_later_every_label_counts(
    champion, challenger, back
):
    standing = Standing()
    standing.judge([True] * champion + [False] * (64 - champion))
    standing.updated(PRETRAINED, epochs=1)
    verdicts = [True] * challenger + [False] * (64 - challenger)
    assert (standing.judge(verdicts) is PRETRAINED) is back


def test_a_challenger_that_is_as_good_stays():
    standing = Standing()
    standing.judge([True, False])
    standing.updated(PRETRAINED, epochs=1)
    assert standing.judge([True, None, False]) is None
    assert standing.current == Judged(1, Tally(1, 2))
    assert standing.champion is None


def test_verdicts_on_a_model_that_was_left_as_it_is_add_up():
    standing = Standing()
    standing.judge([True] * 3)
    standing.judge([True, False])
    assert standing.current.tally == Tally(4, 5)


def test_a_challenger_that_nobody_judged_is_no_champion():
    standing = Standing()
    standing.judge([True, False])
    standing.updated(PRETRAINED, epochs=1)
    assert standing.judge([None]) is None
    standing.updated(FIRST, epochs=2)
    assert standing.tensors is PRETRAINED
    assert standing.champion == Judged(0, Tally(1, 2))


def test_people_get_the_judged_model_unless_that_is_the_pretrained_one():
    standing = Standing()
    assert standing.of_run == Judged(0, Tally())
    standing.judge([True, False])
    standing.updated(PRETRAINED, epochs=1)
    assert standing.of_run == Judged(1, Tally())
    standing.judge([True, True])
    standing.updated(FIRST, epochs=2)
    assert standing.of_run == Judged(1, Tally(2, 2))
    report = Report(epoch=1)
    standing.fill_in(report)
    assert (report.model_epoch, report.model_good, report.model_judged) == (1, 2, 2)


def test_the_record_comes_back_from_a_checkpoint():
    standing = Standing()
    for _ in range(2):
        assert Standing.of(standing.facts(), standing.tensors) == standing
        standing.judge([True, False])
        standing.updated(FIRST, epochs=1)


def test_a_step_back_says_what_was_seen():
    said = came_back(Judged(3, Tally(50, 64)), Judged(2, Tally(60, 64)))
    assert "50 of 64 images from fresh noises are good, and 60 of 64 were before it" in said
    assert said.endswith("So the model after epoch 2 came back.")
    assert came_back(Judged(1, Tally(1, 2)), Judged(0, Tally(2, 2))).endswith(
        "So the model that the run began with came back."
    )


# -- hero+ -----------------------------------------------------------------------------------------


def test_an_update_that_did_no_good_is_undone_and_another_is_made(run):
    run.learn(run.generate(), good(5))
    first = lora_of(run)
    run.learn(run.generate(), good(6))
    second = lora_of(run)
    report = run.learn(run.generate(), good(4))
    assert report.stepped_back and report.updated
    assert "So the model after epoch 1 came back." in report.note
    assert run.standing.champion == Judged(1, Tally(6, 8))
    assert torch.equal(lora_of_tensors(run.standing.tensors), first)
    assert not torch.equal(lora_of(run), second)


def lora_of_tensors(tensors):
    return torch.cat([value.flatten() for value in tensors["lora"].values()])


def test_people_draw_with_the_judged_model_and_the_run_goes_on_with_the_new_one(run):
    run.learn(run.generate(), good(5))
    first = lora_of(run)
    run.learn(run.generate(), good(6))
    second = lora_of(run)
    with run.run_model():
        assert torch.equal(lora_of(run), first)
    assert torch.equal(lora_of(run), second)


def test_what_steps_back_is_the_standing_alone(make_config):
    run = Method.create(make_config(**FEW, step_back_drop=0.1))
    for count in (5, 6, 4):
        report = run.learn(run.generate(), good(count))
    assert report.stepped_back
    assert "So the model after epoch 1 came back." in report.note


def test_after_one_epoch_people_get_what_it_made(run):
    run.learn(run.generate(), good(5))
    made = lora_of(run)
    with run.run_model():
        assert torch.equal(lora_of(run), made)


def test_a_model_of_which_nearly_all_is_good_is_left_as_it_is(run):
    run.learn(run.generate(), good(6))
    made = lora_of(run)
    report = run.learn(run.generate(), good(8))
    assert not report.updated and not report.good_enough
    assert (
        report.note == "8 of 8 images from fresh noises are good, so the model was left as it is."
    )
    assert torch.equal(lora_of(run), made)
    assert (report.model_epoch, report.model_good, report.model_judged) == (1, 8, 8)


def test_verdicts_that_prove_it_end_the_search(make_config):
    run = Method.create(make_config(**FEW, until=0.8))
    reports = [run.learn(run.generate(), good(8)) for _ in range(12)]
    enough = [report.good_enough for report in reports]
    assert not enough[0] and enough[-1]
    assert enough == sorted(enough)


def test_never_is_never(make_config):
    run = Method.create(make_config(**FEW, until="never"))
    run.standing = Standing(Judged(0, Tally(10_000, 10_000)))
    assert not run.learn(run.generate(), good(8)).good_enough


def test_from_half_good_on_every_image_counts(run):
    run.learn(run.generate(), good(3))
    assert run._fresh(8) == 4
    run.learn(run.generate(), Feedback((False,) * 4 + (True,) * 4, best=4))
    assert run._fresh(8) == 8


def test_a_run_that_was_stopped_goes_on_as_one_that_was_not(run, tmp_path):
    run.learn(run.generate(), good(5))
    run.learn(run.generate(), good(6))
    run.save(tmp_path)
    stopped = Method.resume(tmp_path)
    assert stopped.standing.facts() == run.standing.facts()
    reports = [each.learn(each.generate(), good(4)) for each in (run, stopped)]
    for report in reports:
        report.seconds = {}
    assert dataclasses.asdict(reports[0]) == dataclasses.asdict(reports[1])
    assert reports[1].stepped_back
    assert torch.equal(lora_of(run), lora_of(stopped))
