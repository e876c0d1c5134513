"""Picture files of people's own: read to the end, and fitted to a model."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backend.errors import BadInput
from backend.labels import pictures
from backend.labels.pictures import check_pictures, fitted, fitting

TURNED = 6
"""EXIF's orientation of a camera that was held upright: the top of the picture is at the right."""


def halves(width: int, height: int) -> Image.Image:
    """Red above, blue below."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width, height // 2))
    return image


def test_a_camera_that_was_held_upright(tmp_path: Path):
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = TURNED
    halves(20, 40).rotate(90, expand=True).save(path, exif=exif)
    assert check_pictures([path]) == [(40, 20)]
    image = fitted(path, 8, 8)
    assert (image.mode, image.size) == ("RGB", (8, 8))
    assert image.getpixel((4, 0)) == (255, 0, 0)
    assert image.getpixel((4, 7)) == (0, 0, 255)


def test_the_middle_is_kept(tmp_path: Path):
    image = Image.new("RGB", (30, 10), "black")
    image.paste("white", (10, 0, 20, 10))
    image.save(tmp_path / "wide.png")
    assert np.asarray(fitted(tmp_path / "wide.png", 5, 5)).min() > 200


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str):
    path = tmp_path / "a.png"
    if mode == "P":
        Image.new("P", (8, 8), 0).save(path, transparency=0)
    else:
        Image.new(mode, (8, 8), (0,) * len(mode)).save(path)
    assert fitted(path, 8, 8).getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "CMYK"])
def test_other_colours_become_rgb(tmp_path: Path, mode: str):
    path = tmp_path / "a.tiff"
    Image.new(mode, (8, 8)).save(path)
    assert fitted(path, 4, 4).mode == "RGB"


def test_pictures_that_cannot_be_read_are_named(tmp_path: Path):
    whole, truncated, text = (tmp_path / name for name in ("a.jpg", "b.jpg", "c.txt"))
    halves(64, 64).save(whole)
    truncated.write_bytes(whole.read_bytes()[:-200])
    text.write_text("a rose")
    with pytest.raises(BadInput) as refusal:
        check_pictures([whole, truncated, text])
    assert str(refusal.value).startswith(f"Cannot read {truncated}, {text}: ")


def test_a_picture_of_absurd_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    halves(64, 64).save(tmp_path / "a.png")
    monkeypatch.setattr(pictures.Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(BadInput, match=r"a\.png"):
        check_pictures([tmp_path / "a.png"])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40))
def test_every_picture_gets_the_size(tmp_path_factory, width, height, wanted, other):
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    halves(width, height).save(path)
    assert fitted(path, wanted, other).size == (other, wanted)


def test_what_fitting_does_is_said():
    assert fitting([(8, 8)] * 3, 8, 8) == ""
    said = "2 of 3 pictures are cut in the middle and scaled to 8 x 8 pixels."
    assert fitting([(8, 8), (16, 8), (9, 9)], 8, 8) == said
    assert fitting([(8, 8), (16, 8), (7, 9)], 8, 8) == (
        f"{said} 1 of them are smaller, and become blurred."
    )
