"""Where exports go: whole or not at all, and never over something that is there already."""

import errno
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend import cli
from backend.errors import DiskFull, TargetUnusable
from backend.exports import export
from backend.exports.target import whole
from tests.backend.filled import two_epochs


@pytest.fixture
def run(settings, store, config):
    return two_epochs(settings, store, config)


def here(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_a_file_that_is_there_is_only_replaced_by_force(settings, store, run, tmp_path):
    target = tmp_path / "votes.csv"
    target.write_text("precious")
    with pytest.raises(TargetUnusable, match="exists already; say --force"):
        export(settings, store, run, "annotations", None, target)
    assert target.read_text() == "precious"
    assert export(settings, store, run, "annotations", None, target, force=True) == target
    assert target.read_text().startswith('"run","epoch"')


def test_a_folder_is_only_replaced_by_force_and_only_an_export(settings, store, run, tmp_path):
    target = tmp_path / "images"
    export(settings, store, run, "images", None, target)
    (target / "metadata.jsonl").write_text("old")
    with pytest.raises(TargetUnusable, match="exists already"):
        export(settings, store, run, "images", None, target)
    export(settings, store, run, "images", None, target, force=True)
    assert len((target / "metadata.jsonl").read_text().splitlines()) == 8
    assert [path.name for path in tmp_path.glob("*images*")] == ["images"]

    home = tmp_path / "documents"
    home.mkdir()
    (home / "README.md").write_text("all my work")
    with pytest.raises(TargetUnusable, match="did not make"):
        export(settings, store, run, "images", None, home, force=True)
    assert here(home) == {"README.md": "all my work"}


def test_a_folder_takes_a_file_and_an_empty_one_becomes_an_export(settings, store, run, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert export(settings, store, run, "verdicts", "hf", empty) == empty
    assert (empty / "data").is_dir()
    made = export(settings, store, run, "verdicts", "json", tmp_path)
    assert made == tmp_path / f"{run.id}-verdicts.json"
    deep = tmp_path / "a" / "b" / "verdicts.jsonl"
    assert export(settings, store, run, "verdicts", None, deep).stat().st_size > 0


def test_a_target_that_cannot_be_written(settings, store, run, tmp_path):
    (tmp_path / "file").write_text("")
    for what in ("verdicts", "images", "report"):
        with pytest.raises(TargetUnusable, match=r"\(.*/file\); choose another place"):
            export(settings, store, run, what, None, tmp_path / "file" / "x")


@pytest.mark.parametrize(
    ("error", "expected"),
    [(OSError(errno.ENOSPC, "No space left on device"), DiskFull), (KeyError("x"), KeyError)],
)
def test_what_goes_wrong_half_way_leaves_what_was_there(tmp_path, error, expected):
    target = tmp_path / "verdicts.csv"
    target.write_text("before")
    with pytest.raises(expected), whole(target, force=True) as partial:
        partial.write_text("half")
        raise error
    assert here(tmp_path) == {"verdicts.csv": "before"}


@pytest.fixture
def hero(settings, run, monkeypatch):
    monkeypatch.setenv("HERO_HOME", str(settings.home))
    return lambda *words: CliRunner().invoke(cli.app, ["export", run.id, *map(str, words)])


def test_the_command_says_what_it_wrote(hero, tmp_path):
    answer = hero("--what", "verdicts", "--out", tmp_path / "verdicts.parquet")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == f"Wrote {tmp_path / 'verdicts.parquet'}\n"


def test_annotations_are_exported_also_without_label_studio(hero, tmp_path):
    answer = hero("--what", "annotations", "--out", tmp_path / "votes.csv")
    assert answer.exit_code == 0, answer.output
    assert "what was fetched before is exported" in answer.stderr
    assert "LABEL_STUDIO_URL" in answer.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--what", "labels"), "annotations, verdicts"),
        (("--what", "verdicts", "--format", "xlsx"), "csv, json, jsonl, parquet, hf"),
        (("--what", "images", "--format", "csv"), "say --format and one of hf"),
        (("--what", "verdicts", "--out", "/dev/null/x.csv"), "choose another place"),
    ],
)
def test_bad_input_is_one_sentence(hero, words, said):
    answer = hero(*words)
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert answer.stdout == ""
    assert len(answer.stderr.strip().splitlines()) == 1
