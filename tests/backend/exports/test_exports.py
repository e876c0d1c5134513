"""What is exported of a run, and as what."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pandas
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from backend.errors import BadInput, ImageUnresolvable, NothingToExport
from backend.exports import (
    KINDS,
    agreement,
    annotations,
    choose_format,
    export,
    preferences,
    verdicts,
)
from backend.exports.formats import HF_FILE, write_table
from backend.exports.source import Source
from tests.backend.filled import annotations as votes_of
from tests.backend.filled import open_epoch, two_epochs


@pytest.fixture
def run(settings, store, config):
    return two_epochs(settings, store, config)


@pytest.fixture
def load_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`datasets.load_dataset`, its split called train, without a network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    cache = str(tmp_path / "cache")
    return lambda *a, **k: datasets.load_dataset(*a, split="train", cache_dir=cache, **k)


def read(format: str, path: Path, schema: pa.Schema) -> list[dict]:
    """The rows of a table, by a reader that is not ours."""
    if format in ("parquet", "hf"):
        return parquet.read_table(path / HF_FILE if format == "hf" else path).to_pylist()
    if format == "csv":
        convert = csv.ConvertOptions(
            column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        parse = csv.ParseOptions(newlines_in_values=True)
        rows = csv.read_csv(path, parse_options=parse, convert_options=convert).to_pylist()
        return [{name: without_apostrophe(value) for name, value in row.items()} for row in rows]
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if format == "json" else [json.loads(x) for x in text.split("\n") if x]
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    for row in rows:
        row |= {name: datetime.fromisoformat(row[name]) for name in times if row[name]}
    return rows


def without_apostrophe(value):
    """As the documentation says that text of a csv is to be read."""
    return re.sub(r"\A'(?='*[=+\-@\t\r\n])", "", value) if isinstance(value, str) else value


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
COLUMNS = {
    pa.string(): TEXT | st.builds(str.__add__, st.text("'=+-@\t\r\n", min_size=1), TEXT),
    pa.int64(): st.integers(-(2**53), 2**53),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.bool_(): st.booleans(),
    pa.timestamp("us", tz="UTC"): st.datetimes(
        datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)
    ),
}


def row_of(schema: pa.Schema) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({f.name: st.none() | COLUMNS[f.type] for f in schema})


@pytest.mark.parametrize("schema", [annotations.SCHEMA, verdicts.SCHEMA])
@hypothesis_settings(max_examples=12, deadline=None,
                     suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(data=st.data())
def test_every_format_gives_the_same_rows_back(data, schema, tmp_path_factory):
    rows = data.draw(st.lists(row_of(schema), min_size=1, max_size=4))
    folder = tmp_path_factory.mktemp("round-trip")
    for format in ("csv", "json", "jsonl", "parquet", "hf"):
        write_table(rows, schema, format, folder / format, "# Card")
        assert read(format, folder / format, schema) == rows, format


def test_a_spreadsheet_calculates_nothing_of_a_csv(tmp_path):
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "it's", "'quoted'", "a=b", ""]
    schema = pa.schema([("text", pa.string()), ("number", pa.float64()), ("count", pa.int64())])
    rows = [{"text": text, "number": -0.5, "count": -3} for text in texts]
    write_table(rows, schema, "csv", tmp_path / "t.csv", "")
    table = pandas.read_csv(tmp_path / "t.csv", keep_default_na=False, lineterminator="\n")
    assert table.text.tolist() == [
        "'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\r=1", "''=1", "it's", "'quoted'", "a=b", "",
    ]  # fmt: skip
    assert set(table.number) == {-0.5} and set(table["count"]) == {-3}
    assert read("csv", tmp_path / "t.csv", schema) == rows


def test_a_prompt_that_is_a_formula_is_text_in_every_csv(settings, store, config):
    run = two_epochs(settings, store, config | {"prompt": "=HYPERLINK(A1)"})
    table = pandas.read_csv(export(settings, store, run, "verdicts", "csv"))
    assert set(table.prompt) == {"'=HYPERLINK(A1)"}
    assert (table.reward < 0).any()
    rows = json.loads(export(settings, store, run, "verdicts", "json").read_text())
    assert {row["prompt"] for row in rows} == {"=HYPERLINK(A1)"}


def test_annotations_are_all_there_with_what_became_of_them(settings, store, run):
    path = export(settings, store, run, "annotations", "csv")
    assert path == settings.run_dir(run.id) / "exports" / f"{run.id}-annotations.csv"
    table = pandas.read_csv(path)
    assert len(table) == len(store.annotations(run.id)) == 11
    assert list(table.columns) == annotations.SCHEMA.names
    first, last = table.iloc[0], table[table.epoch == 1].iloc[-1]
    assert sorted(set(table.epoch)) == [1, 2]
    assert (first["image"], first.image_path) == (f"{run.id}/0/0000", f"{run.id}/0000/0000.png")
    assert (first.annotator, first.value, first.late_value) == ("p1@x", "good", "bad")
    assert bool(first.counted) and bool(first.late) and not first.deleted
    assert bool(last.deleted) and last.value == "bad"
    [skip] = table[table.was_cancelled].to_dict("records")
    assert (skip["index"], skip["counted"], skip["lead_time"]) == (1, False, 1.25)
    assert pandas.to_datetime(skip["updated_at"]) > pandas.Timestamp("2026-01-01", tz="UTC")


def test_verdicts_say_who_decided_and_what_came_of_it(settings, store, run):
    path = export(settings, store, run, "verdicts", "jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["verdict"] for row in rows] == [
        "good", "bad", "best", "bad", "bad", "good", "good", "bad",
    ]  # fmt: skip
    best = rows[2]
    assert (best["good_votes"], best["best_votes"], best["is_anchor"]) == (1, 1, True)
    assert (best["verdict_by"], best["reward"]) == ("people", 0.0)
    assert [row["epoch"] for row in rows] == [1] * 4 + [2] * 4
    assert [row["is_anchor"] for row in rows].count(True) == 1
    assert [row["prediction"] for row in rows[:5]] == [None, None, None, None, 0.0]


def test_only_rewards_that_compare_with_the_best_have_an_anchor(settings, store, config):
    run = two_epochs(settings, store, config | {"reward": "binary"})
    rows = json.loads(export(settings, store, run, "verdicts", "json").read_text())
    assert not any(row["is_anchor"] for row in rows)


def test_agreement_of_the_run_and_of_each_epoch(settings, store, run):
    whole = json.loads(export(settings, store, run, "agreement").read_text())
    assert list(whole["epochs"]) == ["1", "2"]
    assert whole["run"]["images"] == 8 and whole["run"]["compared"] == 2
    table = pandas.read_csv(export(settings, store, run, "agreement", "csv"))
    assert list(table.columns) == agreement.SCHEMA.names
    found = [
        (None if pandas.isna(e) else int(e), who) for e, who in table[["epoch", "annotator"]].values
    ]
    assert found == [(None, "p1@x"), (None, "p2@x"), (1, "p1@x"), (1, "p2@x"), (2, "p1@x")]
    assert table.annotator_images.tolist() == [8, 2, 4, 2, 4]
    assert table.percent[0] == whole["run"]["percent"]


def test_an_open_epoch_has_no_verdicts_yet(settings, store, config):
    run = store.create_run(config)
    run = open_epoch(settings, store, run, votes_of(run, 0, ["g", "b"]))
    with pytest.raises(NothingToExport, match="no epoch"):
        export(settings, store, run, "verdicts")
    assert len(annotations.rows(Source(settings, store, run))) == 2


@pytest.mark.parametrize("what", ["annotations", "verdicts"])
def test_tables_load_with_datasets(settings, store, run, what, load_dataset):
    rows = load_dataset(str(export(settings, store, run, what, "hf")))
    assert rows.column_names == (annotations if what == "annotations" else verdicts).SCHEMA.names
    assert set(rows["run"]) == {run.id}
    again = load_dataset("csv", data_files=str(export(settings, store, run, what, "csv")))
    assert again["value" if what == "annotations" else "verdict"][0] == "good"


def test_images_are_an_imagefolder(settings, store, run, load_dataset):
    folder = export(settings, store, run, "images")
    images = load_dataset("imagefolder", data_dir=str(folder))
    assert len(images) == 8
    assert set(images.column_names) == {"image", *verdicts.SCHEMA.names} - {"image_path"} | {"key"}
    found = {(row["epoch"], row["index"]): row for row in images}
    best = found[1, 2]
    assert sorted(path.name for path in folder.glob("epoch-*")) == ["epoch-0001", "epoch-0002"]
    assert (best["verdict"], best["best_votes"], best["prompt"]) == ("best", 1, run.prompt)
    assert best["image"].getpixel((0, 0)) == (80, 0, 0)
    assert best["key"] == f"{run.id}/0/0002"


def test_a_lost_image_is_named_and_nothing_is_left(settings, store, run):
    lost = settings.images_dir / run.id / "0001" / "0002.png"
    lost.unlink()
    for what in ("images", "preferences"):
        with pytest.raises(ImageUnresolvable, match=r"0001/0002\.png is gone"):
            export(settings, store, run, what)
    assert list((settings.run_dir(run.id) / "exports").iterdir()) == []


@pytest.mark.parametrize("what", KINDS)
def test_a_run_without_labels_exports_nothing(settings, store, config, what):
    run = store.create_run(config, project_url="http://ls/projects/1")
    with pytest.raises(NothingToExport, match="then export again"):
        export(settings, store, run, what)
    assert [path for path in settings.run_dir(run.id).rglob("*") if path.is_file()] == []


def test_a_combination_that_is_not_possible_says_what_is():
    with pytest.raises(BadInput, match="say --format and one of hf"):
        choose_format("images", "csv", None)
    with pytest.raises(BadInput, match="parquet is possible for annotations, verdicts, pref"):
        choose_format("lora", "parquet", None)
    with pytest.raises(BadInput, match="csv, json, jsonl, parquet, hf"):
        choose_format("verdicts", "xlsx", None)
    with pytest.raises(BadInput, match="annotations, verdicts"):
        choose_format("labels", None, None)


def test_the_documentation_names_every_kind_format_and_column():
    text = (Path(__file__).parents[3] / "docs" / "exports.md").read_text()
    for name, kind in KINDS.items():
        assert f"| `{name}` | {', '.join(kind.formats)} | {kind.says} |" in text
    for module in (annotations, verdicts, preferences, agreement):
        section = re.search(rf"^## {module.__name__.split('.')[-1]}\n(.*?)^## ", text, re.M | re.S)
        assert section is not None
        assert set(re.findall(r"`(\w+)`", section[1])) >= set(module.SCHEMA.names)


@pytest.mark.parametrize(
    ("what", "out", "format"),
    [
        ("annotations", None, "csv"),
        ("annotations", "votes.PARQUET", "parquet"),
        ("annotations", "folder", "csv"),
        ("preferences", "pairs.jsonl", "jsonl"),
        ("images", "images.csv", "hf"),
    ],
)
def test_the_format_follows_the_targets_name(what, out, format):
    assert choose_format(what, None, out and Path(out)) == format
