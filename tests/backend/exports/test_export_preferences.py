"""Preference pairs: which there are, and that what reads Pick-a-Pic reads them."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from PIL import Image
from pyarrow import parquet

from backend.errors import NothingToExport
from backend.exports import export, preferences
from backend.exports.source import Source
from backend.store import tables
from tests.backend.filled import annotations, close_epoch, open_epoch, two_epochs


@pytest.fixture
def run(settings, store, config):
    return two_epochs(settings, store, config)


def named(source: Source) -> set[tuple[int, int, int]]:
    pairs = preferences.pairs(source)
    return {(pair.chosen.epoch, pair.chosen.index, pair.rejected.index) for pair in pairs}


def test_good_beats_bad_and_best_beats_good_within_an_epoch(settings, store, run):
    assert named(Source(settings, store, run)) == {
        (0, 2, 0), (0, 2, 1), (0, 2, 3), (0, 0, 1), (0, 0, 3),
        (1, 1, 0), (1, 1, 3), (1, 2, 0), (1, 2, 3),
    }  # fmt: skip


def test_what_the_embedding_judged_is_nobodys_preference(settings, store, run):
    with store._write() as connection:
        connection.execute(
            sa.update(tables.images)
            .where(tables.images.c.epoch == 1)
            .values(verdict_by="embedding")
        )
    assert {epoch for epoch, *_ in named(Source(settings, store, run))} == {0}


def test_an_epoch_of_one_kind_has_no_pairs(settings, store, config):
    run = store.create_run(config)
    run = open_epoch(settings, store, run, annotations(run, 0, ["b", "b", "b", "b"]))
    run = close_epoch(store, run)
    with pytest.raises(NothingToExport, match="label good and bad ones"):
        export(settings, store, run, "preferences")


@pytest.mark.parametrize("format", ["parquet", "hf"])
def test_datasets_and_diffusion_dpo_read_them(
    settings, store, run, format, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    path = export(settings, store, run, "preferences", format)
    how = {"path": str(path)} if format == "hf" else {"path": "parquet", "data_files": str(path)}
    pairs = datasets.load_dataset(**how, split="train", cache_dir=str(tmp_path))
    types = {name: str(feature.dtype) for name, feature in pairs.features.items()}
    assert list(types) == [*preferences.PICK_A_PIC, *preferences.OURS]
    assert (types["jpg_0"], types["label_0"], types["created_at"], types["user_id"]) == (
        "binary", "float64", "timestamp[ns]", "int64",
    )  # fmt: skip
    assert len(pairs) == 9

    def chosen_first(examples):  # as diffusers' train_diffusion_dpo.py does
        columns = [
            [Image.open(io.BytesIO(data)).convert("RGB") for data in examples[name]]
            for name in ("jpg_0", "jpg_1")
        ]
        sides = zip(*columns, strict=True)
        labels = examples["label_0"]
        return {
            "sides": [
                pair[::-1] if label == 0 else pair
                for pair, label in zip(sides, labels, strict=True)
            ],
            "uids": list(zip(examples["image_0_uid"], examples["image_1_uid"], strict=True)),
            "best": examples["best_image_uid"],
        }

    red = {f"{run.id}/{e}/{i:04d}": (40 * i, 80 * e, 0) for e in range(2) for i in range(4)}
    for row in pairs.with_transform(chosen_first):
        chosen, rejected = row["sides"]
        [other] = set(row["uids"]) - {row["best"]}
        assert chosen.getpixel((0, 0)) == red[row["best"]]
        assert rejected.getpixel((0, 0)) == red[other]
    assert set(pairs["label_0"]) == {0.0, 1.0}, "the chosen one stands on either side"
    assert [a + b for a, b in zip(pairs["label_0"], pairs["label_1"], strict=True)] == [1.0] * 9
    assert set(pairs["num_example_per_prompt"]) == {9}
    assert dict(zip(pairs["epoch"], pairs["user_id"], strict=True)) == {1: None, 2: 1}


def test_text_formats_name_the_files(settings, store, run):
    rows = json.loads(export(settings, store, run, "preferences", "json").read_text())
    assert not {"jpg_0", "jpg_1"} & set(rows[0])
    assert Counter(row["epoch"] for row in rows) == {1: 5, 2: 4}
    assert all((settings.images_dir / row["image_1_url"]).exists() for row in rows)


def test_a_picture_is_not_written_once_a_pair(settings, store):
    count, side = 24, 64
    config = {"prompt": "noise", "epochs": 1, "images_per_epoch": count}
    run = store.create_run(config)
    run = open_epoch(settings, store, run, annotations(run, 0, ["g", "b"] * (count // 2)))
    for index, image in enumerate(store.images(run.id)):
        noise = Image.effect_noise((side, side), 50 + index)
        noise.save(settings.images_dir / image.path)
    close_epoch(store, run)
    path = export(settings, store, run, "preferences")
    pictures = sum(file.stat().st_size for file in settings.images_dir.rglob("*.png"))
    assert parquet.ParquetFile(path).metadata.num_rows == 144
    assert path.stat().st_size < 3 * pictures


def test_row_groups_stay_small_enough_to_load(settings, store, run, monkeypatch):
    monkeypatch.setattr(preferences, "GROUP_BYTES", 4 * 100)
    file = parquet.ParquetFile(export(settings, store, run, "preferences"))
    assert file.metadata.num_row_groups > 3
    assert file.read().num_rows == 9
