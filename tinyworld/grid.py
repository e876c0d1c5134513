"""Image grids."""

from collections.abc import Sequence

from PIL import Image


def grid(images: Sequence[Image.Image], columns: int, zoom: int = 1, gap: int = 2) -> Image.Image:
    """The images row by row, `zoom` times enlarged without smoothing, `gap` pixels apart."""
    width, height = images[0].width * zoom, images[0].height * zoom
    rows = -(-len(images) // columns)
    sheet = Image.new(
        "RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), (255, 255, 255)
    )
    for index, image in enumerate(images):
        place = (index % columns * (width + gap), index // columns * (height + gap))
        enlarged = image.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(enlarged, place)
    return sheet
