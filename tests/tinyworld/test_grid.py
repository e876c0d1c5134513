"""Image grids."""

from PIL import Image

from tinyworld.grid import grid


def test_images_stand_row_by_row_enlarged_and_apart() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    sheet = grid([Image.new("RGB", (4, 4), colour) for colour in colours], 2, zoom=2, gap=1)
    assert sheet.size == (17, 17)
    assert sheet.getpixel((0, 0)) == (255, 0, 0)
    assert sheet.getpixel((9, 0)) == (0, 255, 0)
    assert sheet.getpixel((0, 9)) == (0, 0, 255)
    assert sheet.getpixel((8, 8)) == (255, 255, 255)
