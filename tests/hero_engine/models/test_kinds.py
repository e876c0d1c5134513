"""What is told of a model before torch is loaded, held against what is known after it."""

import importlib
import inspect

import pytest

from hero_engine.models.families import FAMILIES
from hero_engine.models.kinds import MAY_BE_NULL, PARTS


@pytest.mark.parametrize("pipeline_class", FAMILIES)
def test_parts_are_those_that_diffusers_asks_for(pipeline_class):
    module, name = FAMILIES[pipeline_class].split(":")
    family = getattr(importlib.import_module(module), name)
    _, *known = inspect.signature(family.pipeline_class.__init__).parameters.values()
    needed = {each.name for each in known if each.default is inspect.Parameter.empty}
    assert set(PARTS[pipeline_class]) == needed - set(family.left_out)
    assert set(family.may_lack) == set(PARTS[pipeline_class]) & set(MAY_BE_NULL)
