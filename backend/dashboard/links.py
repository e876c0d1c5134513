"""Where the pages' images and links lead: to the server, or into the report's own file."""

import base64
import hashlib
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from backend.dashboard import miniatures
from backend.dashboard.epochs import EpochFacts
from backend.dashboard.facts import Samples
from backend.run.records import Image
from backend.settings import Settings

REPORT_SIDE = 192
"""Longest side of an image in the report: 512 of them make a file of a few megabytes."""


class Links(Protocol):
    """What the templates ask for."""

    def epoch(self, number: int) -> str:
        """An epoch's page; `number` counts from 1."""
        ...

    def original(self, image: Image) -> str | None:
        """The image itself; None where there is none."""
        ...

    def thumbnail(self, image: Image) -> str:
        """The image, small."""
        ...

    def mosaic(self, epoch: EpochFacts) -> str:
        """A whole epoch in one picture."""
        ...

    def sample(self, samples: Samples, index: int) -> str:
        """One of the images that show how the model changes."""
        ...

    @property
    def side_by_side(self) -> str | None:
        """The page of several epochs; None where there is none."""
        ...


class WebLinks:
    """Addresses below `/runs/ID` that the views answer."""

    def __init__(self, run_id: str) -> None:
        self._base = f"/runs/{quote(run_id, safe='')}"

    def epoch(self, number: int) -> str:
        """An epoch's page."""
        return f"{self._base}/epochs/{number}"

    def original(self, image: Image) -> str | None:
        """The image as it was drawn."""
        return f"{self.epoch(image.epoch + 1)}/images/{image.index}"

    def thumbnail(self, image: Image) -> str:
        """The image, small."""
        return f"{self.epoch(image.epoch + 1)}/thumbnails/{image.index}"

    def mosaic(self, epoch: EpochFacts) -> str:
        """A whole epoch; the address changes with the verdicts."""
        said = "".join((tile.verdict or "-")[:2] for tile in epoch.tiles)
        return self.mosaic_of(epoch.number, hashlib.sha256(said.encode()).hexdigest()[:8])

    def mosaic_of(self, number: int, version: object) -> str:
        """A whole epoch; `version` changes with what the picture shows."""
        return f"{self.epoch(number)}/mosaic?v={version}"

    def sample(self, samples: Samples, index: int) -> str:
        """One of the images that show how the model changes."""
        return f"{self._base}/samples/{samples.epochs}/{index}"

    def sample_original(self, samples: Samples, index: int) -> str:
        """The same as it was drawn."""
        return f"{self.sample(samples, index)}?large=1"

    @property
    def side_by_side(self) -> str | None:
        """The page of several epochs."""
        return f"{self._base}/epochs"


class InFile:
    """Everything inside one file: images as data, epochs as anchors."""

    def __init__(self, settings: Settings) -> None:
        self._images = settings.images_dir

    def epoch(self, number: int) -> str:
        """The epoch's place in the file."""
        return f"#epoch-{number}"

    def original(self, image: Image) -> str | None:
        """Not in the file."""
        return None

    def thumbnail(self, image: Image) -> str:
        """The image, small."""
        return _thumbnail(self._images / image.path)

    def mosaic(self, epoch: EpochFacts) -> str:
        """A whole epoch."""
        return _data(mosaic(self._images, epoch))

    def sample(self, samples: Samples, index: int) -> str:
        """One of the images that show how the model changes."""
        return _thumbnail(samples.files[index])

    @property
    def side_by_side(self) -> str | None:
        """Not in the file."""
        return None


def mosaic(images_dir: Path, epoch: EpochFacts) -> bytes:
    """A whole epoch in one picture, with its verdicts."""
    paths = [images_dir / tile.image.path for tile in epoch.tiles]
    return miniatures.mosaic(paths, [tile.verdict for tile in epoch.tiles])


def _thumbnail(path: Path) -> str:
    try:
        return _data(miniatures.thumbnail(path, REPORT_SIDE))
    except OSError:
        svg = (Path(__file__).parent / "static" / "missing.svg").read_bytes()
        return _data(svg, "image/svg+xml")


def _data(content: bytes, kind: str = "image/webp") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
