"""Finished runs, packed and in parts; and the committed ones."""

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat
from rich.console import Console

from benchmarks import annotator_errors, research, side_by_side, tables
from benchmarks.cells import RESULTS
from benchmarks.jobs import Job, forget, run_jobs
from benchmarks.kept_runs import KeptRuns, Row, Run

PACKED = sorted(RESULTS.glob("*.runs.jsonl.gz"))


@pytest.fixture
def kept(tmp_path: Path) -> KeptRuns:
    return KeptRuns.beside(tmp_path / "bench.json")


def _job(kept: KeptRuns, number: int) -> Job:
    return Job(f"job/{number}, seed 1", {"number": number}, kept, 1)


def test_a_run_is_found_as_a_part_and_when_it_is_packed(kept: KeptRuns) -> None:
    assert kept.find("a") == []
    run = Run({"z": 1, "a": [0.1, None]}, {"seed": 1, "b": {"y": 2, "x": 1e-17}})
    kept.add("a", run)
    assert kept.find("a") == [run]
    kept.pack()
    assert kept.find("a") == [run]
    assert list(kept.find("a")[0].row["b"]) == ["y", "x"]
    assert not list(kept.parts.glob("*.json"))


def test_a_part_comes_before_the_packed_run_and_replaces_it(kept: KeptRuns) -> None:
    old, new = Run({"number": 1}, {"old": True}), Run({"number": 2}, {"old": False})
    kept.add("a", old)
    kept.pack()
    kept.add("a", new)
    assert kept.find("a") == [new, old]
    kept.pack()
    assert kept.find("a") == [new]


def test_the_packed_file_is_sorted_and_the_same_whatever_the_order(tmp_path: Path) -> None:
    made = []
    for folder, names in (("one", "ba c"), ("two", "c ab")):
        kept = KeptRuns.beside(tmp_path / folder / "bench.json")
        for name in names:
            kept.add(name, Run({"of": name}, {}))
            kept.pack()
        made.append(kept.packed.read_bytes())
    assert made[0] == made[1]
    assert made[0][4:8] == bytes(4)
    lines = [json.loads(line)["name"] for line in gzip.decompress(made[0]).decode().splitlines()]
    assert lines == [" ", "a", "b", "c"]


def test_what_is_forgotten_is_gone_and_the_rest_stays(kept: KeptRuns) -> None:
    jobs = [_job(kept, number) for number in range(3)]
    for job in jobs:
        job.keep({"number": job.spec["number"]})
    kept.pack()
    jobs[1].keep({"again": True})
    forget(jobs[:2])
    assert [job.finished() for job in jobs] == [None, None, {"number": 2}]
    forget(jobs)
    assert not kept.packed.exists()


def _work(spec: dict[str, Any], on_stage: Any) -> Row:
    if spec["number"] < 0:
        raise ValueError("interrupted")
    return {"number": spec["number"]}


@pytest.mark.slow
def test_an_interrupted_benchmark_has_parts_and_goes_on_from_both(kept: KeptRuns) -> None:
    screen = Console(quiet=True)
    packed, part, failing, new = (_job(kept, number) for number in (1, 2, -1, 3))
    packed.keep({"kept": "packed"})
    kept.pack()
    before = kept.packed.read_bytes()
    with pytest.raises(ValueError, match="interrupted"):
        run_jobs([packed, part, failing], _work, 1, screen)
    assert kept.packed.read_bytes() == before
    assert [path.name for path in kept.parts.glob("*.json")] == ["job-2-seed-1.json"]
    part.kept.add(part.name, Run(part.spec, {"kept": "part"}))
    rows = run_jobs([new, part, packed], _work, 1, screen)
    assert rows[0]["number"] == 3
    assert rows[1:] == [{"kept": "part"}, {"kept": "packed"}]
    assert not list(kept.parts.glob("*.json"))
    assert [job.finished() for job in (packed, part)] == [{"kept": "packed"}, {"kept": "part"}]


@pytest.mark.parametrize("packed", PACKED, ids=lambda path: path.name)
def test_committed_runs_are_sorted_and_each_has_a_name_of_its_own(packed: Path) -> None:
    with gzip.open(packed, "rt", encoding="utf-8") as lines:
        names = [json.loads(line)["name"] for line in lines]
    assert names == sorted(set(names))


def test_git_ignores_parts(kept: KeptRuns) -> None:
    ignored = (Path(__file__).parents[2] / ".gitignore").read_text().splitlines()
    assert f"*{kept.parts.suffix}/" in ignored


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tables", "research", "research-1-hand", "annotator_errors"])
def test_committed_pages_are_those_of_the_committed_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed, out = RESULTS / f"{name}.json", tmp_path / f"{name}.json"
    shutil.copy(KeptRuns.beside(committed).packed, KeptRuns.beside(out).packed)
    said = json.loads(committed.read_text())
    seeds = ",".join(map(str, said["seeds"]))
    argv = ["", "--finished", "--seeds", seeds, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", argv + ["--prompt", "1 hand"] * (name == "research-1-hand"))
    {"tables": tables, "annotator_errors": annotator_errors}.get(name, research).main()
    assert _figures(out) == _figures(committed)


def _figures(result: Path) -> tuple[str, Any]:
    """A result's page and runs, without the command and the engine's settings that made it."""
    page, found = result.with_suffix(".md").read_text(), json.loads(result.read_text())
    command = found.pop("command")
    found.pop("config", None)
    return page.replace(f"`{command}`", ""), found


def test_the_pictures_side_by_side_are_those_of_the_committed_runs() -> None:
    planned = side_by_side.jobs(["blue-rose", "hand"], seed=21)
    for task in ("blue-rose", "hand"):
        rows = {name: planned[task, name].finished() for name in side_by_side.METHODS}
        shown = Image.open(side_by_side.DOCS / f"learned-{task}.png").convert("RGB")
        again = side_by_side.picture(rows)
        assert again.size == shown.size
        strips = (side_by_side.LABEL_WIDTH, 0, *shown.size)
        difference = ImageChops.difference(again.crop(strips), shown.crop(strips))
        # The pictures of the documentation may have a palette.
        assert max(ImageStat.Stat(difference).mean) < 3
