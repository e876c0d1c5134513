"""Small pictures: thumbnails, and a whole epoch in one picture. Kept in memory once made."""

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw

from backend.show.pictures import BORDER, SMALLEST_SIDE

THUMBNAIL_SIDE = 320
"""Twice what a tile measures on a page, for sharp displays."""
_CELL, _GAP, _EDGE = 40, 4, 3
_FADED = 0.28
"""How much is left of an image that was called bad."""


def is_small(path: Path) -> bool:
    """Whether an image has so few pixels that it is shown pixel by pixel."""
    try:
        with Image.open(path) as image:
            return min(image.size) < SMALLEST_SIDE
    except OSError:
        return False


def thumbnail(path: Path, side: int = THUMBNAIL_SIDE) -> bytes:
    """An image as WebP with no side longer than `side`; a small one as it is, without loss.

    Raises:
        OSError: it is missing or no image.
    """
    return _thumbnail(path, path.stat().st_mtime_ns, side)


def mosaic(paths: Sequence[Path], verdicts: Sequence[str | None]) -> bytes:
    """An epoch in one WebP: bad images faded, good ones underlined, the best edged in gold."""
    return _mosaic(tuple((path, _stamp(path)) for path in paths), tuple(verdicts))


@lru_cache(maxsize=2048)
def _thumbnail(path: Path, _changed_at: int, side: int) -> bytes:
    with Image.open(path) as image:
        picture = image.convert("RGB")
    small = max(picture.size) <= side
    if not small:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _webp(picture, lossless=small)


@lru_cache(maxsize=64)
def _mosaic(paths: tuple[tuple[Path, int | None], ...], verdicts: tuple[str | None, ...]) -> bytes:
    columns = 8
    step = _CELL + _GAP
    rows = -(-len(paths) // columns)
    sheet = Image.new("RGBA", (columns * step - _GAP, rows * step - _GAP), (0, 0, 0, 0))
    draw = ImageDraw.Draw(sheet)
    for index, ((path, changed_at), verdict) in enumerate(zip(paths, verdicts, strict=True)):
        left, top = index % columns * step, index // columns * step
        cell = _cell(path, changed_at).copy()
        if verdict == "bad":
            cell.putalpha(round(255 * _FADED))
        sheet.paste(cell, (left, top))
        right, bottom = left + _CELL - 1, top + _CELL - 1
        if verdict == "good":
            draw.rectangle((left, bottom - _EDGE, right, bottom), fill=BORDER["good"])
        elif verdict == "best":
            draw.rectangle((left, top, right, bottom), outline=BORDER["best"], width=_EDGE + 1)
    return _webp(sheet, lossless=False)


@lru_cache(maxsize=2048)
def _cell(path: Path, _changed_at: int | None) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGBA").resize((_CELL, _CELL), Image.Resampling.LANCZOS)
    except OSError:
        return Image.new("RGBA", (_CELL, _CELL), (128, 128, 128, 40))


def _stamp(path: Path) -> int | None:
    """When a file was changed last; None while there is none, so that it is looked for again."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _webp(picture: Image.Image, *, lossless: bool) -> bytes:
    written = io.BytesIO()
    picture.save(written, "WEBP", lossless=lossless, quality=82)
    return written.getvalue()
