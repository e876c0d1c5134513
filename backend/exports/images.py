"""The images in a folder with metadata.jsonl, as `datasets` calls an imagefolder."""

import shutil
from pathlib import Path

from backend.exports import verdicts
from backend.exports.formats import write_card, write_jsonl
from backend.exports.source import Source, counted


def write(source: Source, format: str, path: Path) -> None:
    """Write every image drawn so far; those of an epoch that is still open have no verdict yet."""
    if not source.images:
        raise source.nothing("it has drawn no images yet", "wait for the first ones")
    metadata = []
    for image in source.images:
        name = f"epoch-{counted(image.epoch):04d}/{image.index:04d}.png"
        copy = path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.image_file(image), copy)
        known = verdicts.row(source, image)
        # `datasets` calls the picture itself "image".
        del known["image_path"]
        metadata.append({"file_name": name, "key": known.pop("image"), **known})
    write_jsonl(metadata, path / "metadata.jsonl")
    write_card(
        path,
        f"# Images of the run {source.run.id}\n\n"
        "`datasets.load_dataset('imagefolder', data_dir=...)` loads them with what "
        "`metadata.jsonl` says of each.",
    )
