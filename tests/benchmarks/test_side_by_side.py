"""The picture of the same noises before and after."""

import base64
import io

from PIL import Image

from benchmarks import side_by_side
from benchmarks.side_by_side import METHODS, jobs, picture, work


def test_a_row_is_the_models_images_of_the_same_noises_and_its_success() -> None:
    job = jobs(["blue-rose"], seed=1)["blue-rose", "pretrained"]
    assert job.spec["epochs"] == 0
    stages: list[str] = []
    row = work({**job.spec, "images": 4}, stages.append)
    strip = Image.open(io.BytesIO(base64.b64decode(row["png"])))
    assert strip.size == (12 * 66 - 2, 64)
    assert row["success"] in (0, 0.25, 0.5, 0.75, 1)
    assert stages == ["images"]


def test_every_method_is_asked_for_as_a_preset_has_it() -> None:
    planned = jobs(["hand"], seed=1)
    assert {name for _, name in planned} == set(METHODS)
    plus = planned["hand", "hero+"].spec
    assert (plus["config"]["method"], plus["config"]["prompt"]) == ("hero+", "1 hand")
    assert plus["config"]["first_step_share"] > 0
    assert len({job.name for job in planned.values()}) == len(planned)


def test_the_picture_has_a_strip_a_model() -> None:
    def row(colour: str) -> dict[str, object]:
        kept = io.BytesIO()
        Image.new("RGB", (100, 64), colour).save(kept, "png")
        return {"labels": 64, "success": 0.5, "png": base64.b64encode(kept.getvalue()).decode()}

    made = picture({"pretrained": row("red"), "HERO": row("lime"), "hero+": row("blue")})
    assert made.size == (side_by_side.LABEL_WIDTH + 100, 3 * 70 - 6)
    colours = [made.getpixel((side_by_side.LABEL_WIDTH + 5, y)) for y in (5, 75, 145)]
    assert colours == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert made.crop((0, 0, side_by_side.LABEL_WIDTH, 64)).getcolors(9999) != [
        (side_by_side.LABEL_WIDTH * 64, (255, 255, 255))
    ]
