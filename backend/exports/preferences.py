"""Pairs of a chosen and a rejected image of the same epoch, in the columns of Pick-a-Pic.

Names and types are those of `yuvalkirstain/pickapic_v2` (Kirstain et al. 2023), without its
leftover `__index_level_0__`, so that what trains on that trains on this: diffusers'
`train_diffusion_dpo.py` reads `caption`, `jpg_0`, `jpg_1` and `label_0`. What they mean here:

* `jpg_0`, `jpg_1`: the image files, PNGs; only in parquet and hf.
* `image_0_uid`: `run/epoch/index`; `image_0_url`: the file below the home's images folder.
* `label_0`, `label_1`: 1 for the chosen image and 0 for the other. There are no ties, so
  `has_label` and `are_different` are always true.
* `user_id`: of the annotator in Label Studio, if one person alone decided the epoch.
* `num_example_per_prompt`: the number of pairs with that caption.

Ours are `run`, `epoch`, `verdict_0` and `verdict_1`.

Every good image (the best one too) is preferred to every bad one of its epoch, and the best image
to every other good one. Only people's verdicts count: what the embedding judged by itself (label
budget) is no preference of anybody's.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from backend.exports.formats import HF_FILE, write_card, write_table
from backend.exports.source import Source, counted
from backend.run.records import IMPORTED, Image
from backend.tasks.images import image_key

PICK_A_PIC = {
    "are_different": pa.bool_(),
    "best_image_uid": pa.string(),
    "caption": pa.string(),
    "created_at": pa.timestamp("ns"),
    "has_label": pa.bool_(),
    "image_0_uid": pa.string(),
    "image_0_url": pa.string(),
    "image_1_uid": pa.string(),
    "image_1_url": pa.string(),
    "jpg_0": pa.binary(),
    "jpg_1": pa.binary(),
    "label_0": pa.float64(),
    "label_1": pa.float64(),
    "model_0": pa.string(),
    "model_1": pa.string(),
    "ranking_id": pa.int64(),
    "user_id": pa.int64(),
    "num_example_per_prompt": pa.int64(),
}
OURS = {
    "run": pa.string(),
    "epoch": pa.int64(),
    "verdict_0": pa.string(),
    "verdict_1": pa.string(),
}
SCHEMA = pa.schema([*PICK_A_PIC.items(), *OURS.items()])
PICTURES = ("jpg_0", "jpg_1")
_WRITTEN = pa.schema(
    [
        field.with_type(pa.dictionary(pa.int32(), pa.binary())) if field.name in PICTURES else field
        for field in SCHEMA
    ]
)
GROUP_BYTES = 128 * 2**20
"""Bytes of images in a row group, which readers load as one piece."""


@dataclass(frozen=True)
class Pair:
    """Two images of an epoch and a prompt, of which people liked the first better."""

    chosen: Image
    rejected: Image


def pairs(source: Source) -> list[Pair]:
    """All pairs of a run, by epoch.

    Raises:
        NothingToExport: no closed epoch has two images of which one is better.
    """
    found = []
    judged = [image for image in source.judged() if image.verdict_by != "embedding"]
    for epoch in source.closed:
        for prompt in source.run.prompts:
            images = [i for i in judged if (i.epoch, source.prompt_of(i)) == (epoch, prompt)]
            best = [image for image in images if image.verdict == "best"]
            good = [image for image in images if image.verdict == "good"]
            bad = [image for image in images if image.verdict == "bad"]
            found += [Pair(chosen, rejected) for chosen in best for rejected in good]
            found += [Pair(chosen, rejected) for chosen in best + good for rejected in bad]
    if not found:
        raise source.nothing(
            "no epoch has two images of which one is better", "label good and bad ones"
        )
    return found


def rows(source: Source) -> list[dict[str, Any]]:
    """The pairs as rows, without the pictures; which side is the chosen one is drawn by lot."""
    found = pairs(source)
    of_prompt = Counter(source.prompt_of(pair.chosen) for pair in found)
    lot = random.Random(source.run.id)
    people = _people(source)
    decided = {
        number: epoch.labelled_at.replace(tzinfo=None)
        for number, epoch in source.closed.items()
        if epoch.labelled_at is not None
    }
    model = Path(str(source.run.config.get("model", ""))).name
    rows = []
    for number, pair in enumerate(found):
        chosen_first = lot.random() < 0.5
        sides = (pair.chosen, pair.rejected) if chosen_first else (pair.rejected, pair.chosen)
        epoch = pair.chosen.epoch
        row = {
            "are_different": True,
            "best_image_uid": _uid(pair.chosen),
            "caption": source.prompt_of(pair.chosen),
            "created_at": decided[epoch],
            "has_label": True,
            "ranking_id": number,
            "user_id": people.get(epoch),
            "num_example_per_prompt": of_prompt[source.prompt_of(pair.chosen)],
            "run": source.run.id,
            "epoch": counted(epoch),
        }
        for side, image in enumerate(sides):
            row |= {
                f"image_{side}_uid": _uid(image),
                f"image_{side}_url": image.path,
                f"label_{side}": float(image is pair.chosen),
                f"model_{side}": (
                    IMPORTED
                    if image.verdict_by == IMPORTED
                    else f"{model}, HERO run {source.run.id}, epoch {counted(epoch)}"
                ),
                f"verdict_{side}": image.verdict,
            }
        rows.append(row)
    return rows


def _uid(image: Image) -> str:
    return image_key(image.run_id, image.epoch, image.index)


def _people(source: Source) -> dict[int, int]:
    """The annotator of each epoch that one person alone decided."""
    people: dict[int, set[int | None]] = {}
    for row in source.annotations:
        if row.frozen:
            people.setdefault(row.epoch, set()).add(row.annotator_id)
    return {
        epoch: alone
        for epoch, (alone, *others) in ((epoch, list(ids)) for epoch, ids in people.items())
        if not others and alone is not None
    }


def write(source: Source, format: str, path: Path) -> None:
    """Write the pairs of a run."""
    if format == "parquet":
        _write_with_pictures(source, path)
    elif format == "hf":
        (path / HF_FILE).parent.mkdir(parents=True)
        _write_with_pictures(source, path / HF_FILE)
        write_card(path, _card(source))
    else:
        without = [field for field in SCHEMA if field.name not in PICTURES]
        write_table(rows(source), pa.schema(without), format, path, "")


def _card(source: Source) -> str:
    return (
        f"# Preferences of the run {source.run.id}\n\n"
        "Pairs of images with the columns of Pick-a-Pic. `datasets.load_dataset(<this folder>)` "
        "loads them, and so does diffusers' `train_diffusion_dpo.py --dataset_name=<this folder> "
        "--dataset_split_name=train`."
    )


def _write_with_pictures(source: Source, path: Path) -> None:
    """Write parquet in which a row group holds each picture once, as its columns' dictionary."""
    every = rows(source)
    names = {image.path: source.image_file(image) for image in source.images}
    urls = {row[f"image_{side}_url"] for row in every for side in (0, 1)}
    pictures = {url: names[url].read_bytes() for url in sorted(urls)}
    # Without the Arrow schema readers get plain binary columns, not Arrow's dictionaries, which
    # `datasets` does not take.
    with parquet.ParquetWriter(
        path, _WRITTEN, store_schema=False, dictionary_pagesize_limit=2 * GROUP_BYTES
    ) as writer:
        for group in _groups(every, pictures):
            writer.write_table(_table(group, pictures), row_group_size=len(group))


def _groups(
    rows: list[dict[str, Any]], pictures: dict[str, bytes]
) -> Iterator[list[dict[str, Any]]]:
    largest = max(len(picture) for picture in pictures.values())
    size = max(1, GROUP_BYTES // (2 * largest))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _table(rows: list[dict[str, Any]], pictures: dict[str, bytes]) -> pa.Table:
    columns = []
    for field in SCHEMA:
        if field.name not in PICTURES:
            columns.append(pa.array([row[field.name] for row in rows], field.type))
            continue
        urls = [row[f"image_{field.name[-1]}_url"] for row in rows]
        known = {url: number for number, url in enumerate(dict.fromkeys(urls))}
        columns.append(
            pa.DictionaryArray.from_arrays(
                pa.array([known[url] for url in urls], pa.int32()),
                pa.array([pictures[url] for url in known], pa.binary()),
            )
        )
    return pa.table(columns, _WRITTEN)
