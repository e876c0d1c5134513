import dataclasses

import pytest
import torch

from hero_engine.methods.base import Method
from hero_engine.methods.rollback import Rollback
from hero_engine.storage.batch import Feedback

GOOD, BAD = Feedback((True,) * 6 + (False,) * 2, best=0), Feedback((True,) + (False,) * 7, best=0)
FEW_STEPS = {
    "held_share": 0.0,
    "keep_best": False,
    "denoising_steps": 2,
    "denoising_batch_size": 4,
    "fresh_share": 0.0,
}
MODEL = {"lora": {"a": torch.zeros(1)}}


def policy_of(run):
    return {
        f"{file}/{name}": tensor
        for file, tensors in run._policy_tensors().items()
        for name, tensor in tensors.items()
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_only_a_fall_from_the_best_rate_asks_for_a_step_back():
    record = Rollback(drop=0.2)
    assert not record.due(0.1)
    record.passed(0.5, MODEL)
    record.passed(0.7, None)
    assert not record.due(None)
    assert not record.due(0.51)
    assert record.due(0.49)
    before, note = record.take(0.49)
    assert before is MODEL
    assert note.startswith("The success rate fell from 70% to 49%, so the model was set back")


def test_after_a_step_back_the_record_is_a_new_one():
    record = Rollback(drop=0.1)
    record.passed(0.9, MODEL)
    record.take(0.3)
    assert not record.due(0.3)
    record.passed(0.3, MODEL)
    assert record.best == 0.3
    assert record.due(0.1)


def test_zero_is_never():
    record = Rollback(drop=0.0)
    record.passed(0.9, MODEL)
    assert not record.due(0.0)


@pytest.mark.parametrize("method", ["hero", "hero+", "d3po"])
def test_the_model_and_its_optimizer_are_as_before_the_last_update(make_config, method):
    fields = FEW_STEPS if method == "hero+" else {}
    run = Method.create(make_config(method=method, step_back_drop=0.3, **fields))
    run.learn(run.generate(), GOOD)
    before, bank = policy_of(run), run.bank
    run.learn(run.generate(), GOOD)
    assert any(not torch.equal(before[name], tensor) for name, tensor in policy_of(run).items())
    kept = run.bank
    report = run.learn(run.generate(), BAD)
    assert report.stepped_back
    assert not report.updated
    assert "set back" in report.note
    assert_same(policy_of(run), before)
    assert run.bank is kept is not bank or method == "d3po"
    assert run.learn(run.generate(), BAD).updated


def test_where_nothing_falls_the_guard_changes_nothing(make_config):
    runs = [
        Method.create(make_config(method="hero+", step_back_drop=drop, **FEW_STEPS))
        for drop in (0.0, 0.3)
    ]
    for feedback in (BAD, GOOD, GOOD):
        for run in runs:
            run.learn(run.generate(), feedback)
    assert_same(*map(policy_of, runs))


def test_a_run_that_was_stopped_steps_back_as_one_that_was_not(make_config, tmp_path):
    run = Method.create(make_config(method="hero+", step_back_drop=0.3, **FEW_STEPS))
    for _ in range(2):
        run.learn(run.generate(), GOOD)
    run.save(tmp_path)
    stopped = Method.resume(tmp_path)
    reports = [each.learn(each.generate(), BAD) for each in (run, stopped)]
    assert reports[0].stepped_back
    for report in reports:
        report.seconds = {}
    assert dataclasses.asdict(reports[0]) == dataclasses.asdict(reports[1])
    assert_same(policy_of(stopped), policy_of(run))
    assert len(stopped.replay.good) == 24


def test_fresh_images_are_compared_with_fresh_ones(make_config):
    run = Method.create(make_config(fresh_share=0.5, step_back_drop=0.3))
    run.learn(run.generate(), Feedback((True, False) * 4, best=0))
    report = run.learn(run.generate(), Feedback((False,) * 4 + (True, True, False, False)))
    assert (report.success_rate, report.success_rate_fresh) == (0.25, 0.5)
    assert not report.stepped_back
    report = run.learn(run.generate(), Feedback((True,) * 4 + (False,) * 4, best=0))
    assert (report.success_rate, report.success_rate_fresh) == (0.5, 0.0)
    assert report.stepped_back
