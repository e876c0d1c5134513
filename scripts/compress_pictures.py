"""Makes PNG files smaller: `python scripts/compress_pictures.py docs/*.png`.

Each gets a palette of 256 colours, fitted to its own pixels. Pictures that have one already stay as
they are, and so does a picture that would come out larger.
"""

import io
import sys
from pathlib import Path

from PIL import Image

COLOURS = 256


def main(paths: list[str]) -> None:
    """Replaces each file that gets smaller, and says by how much."""
    for path in map(Path, paths):
        before, smaller = path.stat().st_size, compressed(path)
        if smaller is not None and len(smaller) < before:
            path.write_bytes(smaller)
            print(f"{path}: {before // 1000} kB, now {len(smaller) // 1000} kB")


def compressed(path: Path) -> bytes | None:
    """The picture with a palette; none if it has one already."""
    with Image.open(path) as picture:
        if picture.mode == "P":
            return None
        pixels = picture.convert("RGB")
    # No dithering: it would cost twice the size, and the pictures have few soft gradients.
    palette = pixels.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=4)
    written = io.BytesIO()
    palette.save(written, "png", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
