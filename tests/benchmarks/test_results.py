"""From runs to tables, plots and result files."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import annotator_errors, label_budget
from benchmarks.cells import Options, job_of, run_cells, write
from benchmarks.intervals import Mean
from benchmarks.jobs import Job, device, run_jobs
from benchmarks.kept_runs import KeptRuns, Row, Run
from benchmarks.sheets import Sheet
from hero_engine.presets import preset


def _row(seed: int, bank: float, normal: float = 0.5, **labelling: Any) -> Row:
    epoch = {"labels": 64, "accuracy": 0.9, "best_good": True, **labelling}
    return {
        "seed": seed,
        "success_by_epoch": [0.4, bank],
        "success_pretrained": 0.4,
        "success_bank": bank,
        "success_normal": normal,
        "reports": [{"epoch": 0}],
        "labelling": [epoch, epoch],
    }


def _said(out: Path, **fields: Any) -> Options:
    usual = {"seeds": [1, 2], "prompt": "1 hand", "processes": 1, "quick": False, "fresh": False}
    usual |= {"finished": False, "only": "", "command": "c", "out": out}
    return Options(**(usual | fields))


def test_the_interval_of_a_mean_is_students() -> None:
    mean = Mean.of([0.6, 0.7, 0.8])
    assert mean.mean == pytest.approx(0.7)
    assert mean.half == pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4)
    assert mean.text() == "0.70 ± 0.25"
    assert Mean.of([0.6]).text(signed=True) == "+0.60"


def test_a_table_in_markdown() -> None:
    sheet = Sheet("t", ["policy", "bank"])
    sheet.add("majority", 0.5)
    sheet.add("all-good", None)
    assert sheet.markdown().splitlines() == [
        "| policy | bank |",
        "| --- | ---: |",
        "| majority | 0.5 |",
        "| all-good | - |",
    ]


def test_the_noise_benchmark_begins_with_the_cells_that_decide() -> None:
    names = [cell.name for cell in annotator_errors.cells()]
    assert names[:3] == ["errors 0", "errors 0.2, majority", "errors 0.2, dawid-skene"]
    assert len(set(names)) == len(names) == 1 + 3 + 4 * 4
    assert {cell for _, _, cell in annotator_errors.table_rows()} == set(names)


def test_the_noise_table_compares_seed_by_seed_with_the_annotator_who_does_not_err() -> None:
    runs = {
        "errors 0": [_row(1, 0.9), _row(2, 0.8)],
        "errors 0.2, majority": [_row(1, 0.8), _row(2, 0.7)],
    }
    perfect, majority = annotator_errors.sheet(runs, "1 hand").rows
    assert perfect[1] == "one annotator, or three by any policy"
    assert perfect[6:8] == ["-", "-"]
    assert majority[:3] == ["0.2", "majority", "2"]
    assert majority[6:] == ["-0.10 ± 0.00", "+0.00 ± 0.00", "0.90", "1.00"]


def test_both_ways_to_fewer_labels_cost_the_same() -> None:
    cells = {cell.name: cell for cell in label_budget.cells()}
    for budget in label_budget.BUDGETS:
        fewer = preset("tiny", **cells[label_budget.drawn(budget)].config)
        spent = fewer.images_per_epoch * fewer.epochs
        assert spent == 64 + 7 * budget
        assert cells[label_budget.asked(budget)].labelling.label_budget == budget


def test_results_are_written_with_what_makes_them_again(tmp_path: Path) -> None:
    runs = {"all 64": [_row(1, 0.9)], "32 of 64 asked": [_row(1, 0.8, unasked_accuracy=0.7)]}
    said = _said(tmp_path / "budget.json", command="python -m benchmarks.label_budget")
    write(said, label_budget.cells(), runs, lambda cell: label_budget.summary(runs[cell]))
    found = json.loads(said.out.read_text())
    assert found["command"] == "python -m benchmarks.label_budget"
    assert [cell["name"] for cell in found["cells"]] == list(runs)
    assert found["cells"][1]["labelling"] == {"label_budget": 32}
    assert found["cells"][1]["unasked_accuracy"] == 0.7
    assert "reports" not in found["cells"][0]["runs"][0]
    assert "seeds 1, 2" in said.page(label_budget.sheet(runs, "1 hand"))


@pytest.mark.parametrize(
    ("plot", "runs"),
    [
        (
            annotator_errors.plot,
            {"errors 0": [_row(1, 0.9)], "errors 0.2, majority": [_row(1, 0.7)]},
        ),
        (label_budget.plot, {"all 64": [_row(1, 0.9)], "32 drawn": [_row(1, 0.7)]}),
    ],
)
def test_plots_are_drawn_also_of_a_part_of_the_cells(plot, runs, tmp_path: Path) -> None:
    plot(runs, tmp_path / "plot.svg")
    assert ElementTree.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")


def _double(spec: dict[str, Any], on_stage: Any) -> Row:
    on_stage("halfway")
    return {"twice": 2 * spec["number"]}


def _job(tmp_path: Path, number: int) -> Job:
    return Job(f"job {number}", {"number": number}, KeptRuns.beside(tmp_path / "double.json"), 1)


def test_a_kept_row_counts_only_for_the_same_specification(tmp_path: Path) -> None:
    job = _job(tmp_path, 1)
    assert job.finished() is None
    job.kept.add(job.name, Run({"number": 1}, {"twice": 2}))
    assert job.finished() == {"twice": 2}
    job.kept.add(job.name, Run({"number": 3}, {"twice": 6}))
    assert job.finished() is None


def test_what_is_finished_can_be_looked_at_before_the_rest_is_run(tmp_path: Path) -> None:
    said = _said(tmp_path / "budget.json", finished=True)
    with pytest.raises(SystemExit, match="stays as it is"):
        run_cells(label_budget.cells(), said, Console(quiet=True))
    job_of(label_budget.cells()[1], 2, said).keep(_row(2, 0.8))
    found = run_cells(label_budget.cells(), said, Console(quiet=True))
    assert {name: [row["seed"] for row in rows] for name, rows in found.items()} == {
        "32 of 64 asked": [2]
    }


@pytest.mark.slow
def test_finished_jobs_are_not_done_again_and_rows_come_in_order(tmp_path: Path) -> None:
    jobs = [_job(tmp_path, number) for number in (3, 1, 2)]
    jobs[1].keep({"twice": "kept"})
    rows = run_jobs(jobs, _double, 1, Console(quiet=True))
    assert [row["twice"] for row in rows] == [6, "kept", 4]
    assert jobs[0].finished() == {"twice": 6, "device": device()}
    assert not list(jobs[0].kept.parts.glob("*.json"))


def test_what_was_made_with_other_weights_is_neither_shown_nor_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _said(tmp_path / "annotator_errors.json", finished=True, seeds=[2])
    cell = annotator_errors.cells()[0]
    monkeypatch.setattr("benchmarks.fingerprint.tiny", lambda *_: "before")
    job_of(cell, 2, said).keep(_row(2, 0.8))
    assert len(run_cells([cell], said, Console(quiet=True))[cell.name]) == 1
    monkeypatch.setattr("benchmarks.fingerprint.tiny", lambda *_: "now")
    with pytest.raises(SystemExit, match="present weights"):
        run_cells([cell], said, Console(quiet=True))
