import importlib
import inspect
import json

import diffusers
import pytest

from hero_engine.errors import UnsupportedModel
from hero_engine.methods.base import Method
from hero_engine.methods.check_run import check_run
from hero_engine.models.base import Family
from hero_engine.models.families import FAMILIES
from hero_engine.models.files import locate
from hero_engine.models.loading import family_of


@pytest.mark.parametrize("pipeline_class", FAMILIES)
def test_every_family_of_the_table_is_a_whole_one(pipeline_class):
    assert hasattr(diffusers, pipeline_class)
    module, name = FAMILIES[pipeline_class].split(":")
    family = getattr(importlib.import_module(module), name)
    assert issubclass(family, Family)
    assert not inspect.isabstract(family)
    assert family.lora_targets
    assert all(isinstance(layer, str) for layer in family.lora_targets)


def test_a_pipeline_of_the_table_is_found_by_its_class(tmp_path):
    for pipeline_class, home in FAMILIES.items():
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline_class}))
        assert family_of(locate(str(tmp_path))) == home


def test_other_kinds_of_pipeline_are_refused_by_their_class(tmp_path, make_config):
    index = {"_class_name": "KandinskyV22Pipeline"}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    config = make_config(model=str(tmp_path))
    for start in (check_run, Method.create):
        with pytest.raises(UnsupportedModel, match="is a KandinskyV22Pipeline, which is not supp"):
            start(config)
