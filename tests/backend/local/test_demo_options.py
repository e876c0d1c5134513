import pytest

from backend.errors import BadInput
from backend.local.demo import Demo


def test_the_demos_run_is_what_its_options_say():
    usual, short = Demo().config(), Demo(8, 2, 5, 3, "hero").config()
    assert (usual["method"], usual["images_per_epoch"], usual["epochs"]) == ("hero+", 64, 8)
    assert (short["method"], short["images_per_epoch"], short["epochs"]) == ("hero", 8, 2)
    assert (short["num_inference_steps"], short["trained_steps"], short["seed"]) == (5, 5, 3)
    assert usual["first_step_share"] > 0
    assert "first_step_share" not in short


@pytest.mark.parametrize(
    ("demo", "said"),
    [(Demo(method="herro"), "method: .*did you mean hero"), (Demo(images=1), "images")],
)
def test_options_that_cannot_be_are_refused(demo, said):
    with pytest.raises(BadInput, match=said):
        demo.config()
