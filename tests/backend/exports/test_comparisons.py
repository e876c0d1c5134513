"""The export of blind comparisons."""

import pytest
from pyarrow import parquet

from backend.errors import NothingToExport
from backend.exports import comparisons, export
from backend.exports.source import Source
from tests.backend.comparing.compared import comparison, fill
from tests.backend.filled import two_epochs


@pytest.fixture
def run(settings, store, config):
    return two_epochs(settings, store, config)


def test_each_vote_on_each_pair(settings, store, run, tmp_path):
    made = comparison(store, run.id, people=2, sides="lrr")
    fill(store, made, ["+-", "=x"])
    path = export(settings, store, run, "comparisons", "parquet", tmp_path / "pairs.parquet")
    rows = parquet.read_table(path).to_pylist()
    assert [(row["pair"], row["choice"], row["preferred"], row["verdict"]) for row in rows] == [
        (0, "left", "run", "tie"),
        (0, "right", "against", "tie"),
        (1, "tie", "tie", None),
        (1, None, None, None),
        (2, None, None, None),
    ]
    assert [row["side_of_run"] for row in rows] == ["left", "left", "right", "right", "right"]
    assert [row["counted"] for row in rows] == [True, True, True, False, None]
    assert rows[0]["image_left"] == f"{made.id}/0000-left.png"
    assert rows[4]["annotator"] is None


def test_each_pair_says_its_prompt(settings, store, run):
    made = comparison(store, run.id, sides="lrl", prompts=("a cat", "1 hand"))
    fill(store, made, "+-+")
    rows = comparisons.rows(Source(settings, store, run))
    assert [row["prompt"] for row in rows] == ["a cat", "1 hand", "a cat"]


def test_nothing_before_there_is_a_comparison(settings, store, run):
    with pytest.raises(NothingToExport, match="hero compare"):
        comparisons.rows(Source(settings, store, run))
