"""What the tests of the gateway publish, and other settings for it."""

from typing import Any

from backend.label_studio import Gateway, NewTask
from backend.settings import Settings
from tests.e2e.service import Service


def tasks(run_id: str, n: int = 4, epoch: int = 0) -> list[NewTask]:
    return [
        NewTask(
            {
                "image": f"/data/local-files/?d={index}.png",
                "prompt": "one rose",
                "criteria": "",
                "reference": "",
                "marks": [],
                "epoch": epoch,
                "index": index,
                "hero_image_id": f"{run_id}/{epoch}/{index:04d}",
            }
        )
        for index in range(n)
    ]


def page(run_id: str, n: int = 4) -> NewTask:
    """A gallery's only task."""
    keys = [f"{run_id}/0/{index:04d}" for index in range(n)]
    options = [{"value": key, "html": "<img src='/0.png'>"} for key in keys]
    data = {"images": options, "marks": options, "hero_image_id": f"{run_id}/0/gallery"}
    return NewTask({"prompt": "one rose", "criteria": "", "reference": "", **data}, "gallery")


def changed(service: Service, **fields: Any) -> Gateway:
    return Gateway(Settings.model_validate({**service.settings.model_dump(), **fields}))
