import pytest
from PIL import Image, ImageColor

from backend.show.pictures import BORDER, contact_sheet, curve, epoch_grid, wilson_interval


def _squares(count: int, side: int = 64) -> list[Image.Image]:
    return [Image.new("RGB", (side, side), (index * 20, 90, 160)) for index in range(count)]


def _colours(path) -> set[tuple[int, int, int]]:
    image = Image.open(path).convert("RGB")
    return {colour for _, colour in image.getcolors(maxcolors=1 << 20)}


def test_a_grid_shows_every_verdict_by_its_border(tmp_path):
    path = epoch_grid(
        _squares(4), ["good", "bad", "best", None], [0.5, -0.5, 1.0, None], tmp_path / "a/grid.png"
    )
    found = _colours(path)
    assert {ImageColor.getrgb(colour) for colour in BORDER.values()} <= found


def test_small_images_are_enlarged_by_whole_pixels(tmp_path):
    image = Image.effect_noise((64, 64), 60).convert("RGB")
    sheet = Image.open(contact_sheet([image], tmp_path / "one.png"))
    assert sheet.width > 128
    left = next(x for x in range(40) if sheet.getpixel((x, sheet.height // 2)) != (255, 255, 255))
    row = [sheet.getpixel((left + x, sheet.height // 2)) for x in range(128)]
    assert row[0::2] == row[1::2]


def test_large_images_keep_their_size(tmp_path):
    sheet = Image.open(contact_sheet(_squares(2, 256), tmp_path / "two.png", columns=2))
    assert 512 < sheet.width < 640


def test_the_curve_leaves_out_epochs_without_labels(tmp_path):
    path = curve([3, 0, 9], [10, 0, 10], tmp_path / "curve.png", title="a prompt")
    assert Image.open(path).size == (1008, 604)


@pytest.mark.parametrize(
    ("good", "judged", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (64, 64, 0.9434, 1.0)],
)
def test_wilson_interval_by_hand(good, judged, low, high):
    assert wilson_interval(good, judged) == pytest.approx((low, high), abs=2e-4)


def test_wilson_interval_of_nothing():
    with pytest.raises(ValueError, match="at least 1"):
        wilson_interval(0, 0)
