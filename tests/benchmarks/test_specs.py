"""Which kept runs count as the ones that are asked for now."""

from typing import Any

import pytest

from benchmarks.cells import RESULTS
from benchmarks.kept_runs import KeptRuns, Spec
from benchmarks.paper.cells import of_task
from benchmarks.specs import same

KEPT = KeptRuns.beside(RESULTS / "tables.json")


def _kept(name: str) -> Spec:
    """What decided a committed run, as format 1 wrote it."""
    (run,) = KEPT.find(f"{name}, seed 1")
    assert "format" not in run.spec["config"]
    return run.spec


def _with(spec: Spec, **config: Any) -> Spec:
    return {**spec, "config": {**spec["config"], **config}}


def _without(spec: Spec, *names: str) -> Spec:
    return {**spec, "config": {n: v for n, v in spec["config"].items() if n not in names}}


def _wanted(method: str) -> Spec:
    return of_task("hand", method).job(1, KEPT, {}).spec


@pytest.mark.parametrize("method", ["hero", "hero+", "d3po", "dreambooth"])
def test_a_committed_run_is_the_one_that_is_asked_for(method: str) -> None:
    kept, wanted = _kept(f"hand/{method}"), _wanted(method)
    assert same(kept, wanted)
    assert same(wanted, wanted)
    assert not same(_with(kept, seed=2), wanted)
    assert not same({**kept, "images": 1}, wanted)
    assert not same(_with(kept, no_such_setting=1), wanted)


def test_settings_of_other_methods_decide_nothing() -> None:
    assert same(
        _with(_kept("hand/hero"), d3po_beta=7.0, denoising_weights="reward"), _wanted("hero")
    )
    plus = _with(_kept("hand/hero+"), d3po_beta=7.0, learning_rate=1.0, trained_steps=3)
    assert same(plus, _wanted("hero+"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("denoising_weights", "uniform"),
        ("denoising_space", "embedding"),
        ("snr_weighting", "min-snr"),
        ("inner_epochs", 1),
        ("lora_ema_decay", 0.97),
        ("negative_share", 0.5),
        ("denoising_replay", False),
    ],
)
def test_a_removed_setting_counts_only_with_what_is_done_now(name: str, value: object) -> None:
    kept, wanted = _kept("hand/hero+"), _wanted("hero+")
    assert not same(_with(kept, **{name: value}), wanted)
    assert same(kept, wanted)


@pytest.mark.parametrize(
    "name", ["first_step_share", "pretrained_weight", "denoising_weights", "snr_weighting"]
)
def test_what_an_older_run_does_not_say_was_the_default_of_its_time(name: str) -> None:
    assert not same(_without(_kept("hand/hero+"), name), _wanted("hero+"))
    assert same(_without(_kept("hand/hero"), name), _wanted("hero"))


def test_the_bundled_model_is_the_same_by_name_and_by_path() -> None:
    kept, wanted = _kept("hand/hero"), _wanted("hero")
    assert same(_with(kept, model="/somewhere/else/tinyworld/pipeline"), wanted)
    assert same(_with(kept, model="tiny"), wanted)
    assert not same(_with(kept, model="/somewhere/else"), wanted)


def test_random_numbers_are_new_but_settings_are_not() -> None:
    wanted = _wanted("hero+")
    assert same(_with(wanted, format=1), wanted)
    assert not same(_with(wanted, denoising_steps=7), wanted)
    assert not same(_with(wanted, format=3), wanted)
