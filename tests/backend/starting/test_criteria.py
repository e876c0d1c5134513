"""The written success conditions that runs get without being told."""

import pytest

from backend.engine import presets
from backend.settings import Settings
from backend.starting.criteria import default_criteria
from backend.starting.plan import make_plan


@pytest.mark.parametrize("preset", presets())
def test_every_preset_has_one(preset: str):
    assert default_criteria(presets()[preset]["prompt"]).endswith(".")


def test_a_run_of_the_bundled_model_gets_its_prompts(settings: Settings):
    plan, _ = make_plan(settings, {"prompt": "1 hand"})
    assert "exactly five fingers" in plan.labelling.criteria


def test_what_a_person_says_wins(settings: Settings):
    for said in ("Mine.", ""):
        plan, _ = make_plan(settings, {"preset": "hand", "criteria": said})
        assert plan.labelling.criteria == said


def test_another_prompt_has_none(settings: Settings):
    plan, _ = make_plan(settings, {"preset": "hand", "prompt": "a foot"})
    assert plan.labelling.criteria == ""
