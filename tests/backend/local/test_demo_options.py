import json
from pathlib import Path

import pytest

from backend import engine
from backend.errors import BadInput
from backend.local.demo import MODELS, Demo, Folder, _unfinished
from backend.store import Store


def test_the_demos_run_is_what_its_options_say():
    usual, short = Demo().config(), Demo(8, 2, 5, 3, "hero").config()
    assert (usual["method"], usual["images_per_epoch"], usual["epochs"]) == ("hero+", 64, 8)
    assert (short["method"], short["images_per_epoch"], short["epochs"]) == ("hero", 8, 2)
    assert (short["num_inference_steps"], short["trained_steps"], short["seed"]) == (5, 5, 3)
    assert usual["first_step_share"] > 0
    assert "first_step_share" not in short


@pytest.mark.parametrize("model", MODELS)
def test_the_demo_of_another_model_is_the_same_with_that_model(model):
    assert engine.is_bundled(model)
    config = Demo(model=model).config()
    assert config == Demo().config() | {"model": model}


@pytest.mark.parametrize(
    ("demo", "said"),
    [
        (Demo(method="herro"), "method: .*did you mean hero"),
        (Demo(images=1), "images"),
        (Demo(model="somebody/roses"), "judge .*; choose tiny, tiny-sd3 or tiny-sdxl, or label"),
    ],
)
def test_options_that_cannot_be_are_refused(demo, said):
    with pytest.raises(BadInput, match=said):
        demo.config()


def test_an_interrupted_demo_goes_on_with_its_own_model_only(store: Store, tmp_path: Path):
    folder = Folder(tmp_path)
    run = store.create_run(Demo(model="tiny-sd3").config())
    folder.report.write_text(json.dumps({"run": run.id, "finished": False}))
    going_on = _unfinished(store, folder, "tiny-sd3")
    assert going_on is not None and going_on.id == run.id
    assert _unfinished(store, folder, "tiny") is None
    folder.report.write_text(json.dumps({"run": run.id, "finished": True}))
    assert _unfinished(store, folder, "tiny-sd3") is None
