"""The paper's tables from made-up rows; what is run for them, and in which order."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from transformers import CLIPTokenizer

from benchmarks.jobs import run_jobs
from benchmarks.kept_runs import KeptRuns, Row, Run, slug
from benchmarks.paper import figure5, labels, page, plan, table4, table5, transfer
from benchmarks.paper.cells import (
    BANKED,
    ENHANCED,
    TASKS,
    Cell,
    Probe,
    enhanced,
    of_task,
)
from benchmarks.paper.run import _probed, run_cell
from benchmarks.sheets import Sheet
from hero_engine.presets import PRESETS
from tests.tinyworld.bright import BrightIsGood
from tinyworld.bundled import PIPELINE
from tinyworld.judge import Judge
from tinyworld.tasks import Task, tasks

SECTIONS = plan.sections()
EVERY_STEP = "hand/hero trained_steps=all"
CELLS = {cell.name: cell for cell in plan.in_order(SECTIONS)}


def _row(cell: Cell, seed: int, success: float = 0.6) -> Row:
    """A row as `run_cell` makes it; everything rises by .1 a seed."""
    config, level = cell.settings(seed), success + 0.1 * (seed - 1)
    row: dict[str, Any] = {
        "seed": seed,
        "images_per_epoch": config.images_per_epoch,
        "success_by_epoch": [level / 2] + [level] * (config.epochs - 1),
        "reports": [],
    }
    if cell.curve_images:
        row["normal_by_epoch"] = [level / 2] * (config.epochs - 1)
    for evaluation in cell.evaluated:
        row[f"success_{evaluation}"] = 0.4 if evaluation == "pretrained" else level
        row[f"diversity_judge_{evaluation}"] = 0.25
        if cell.probes:
            row[f"probes_{evaluation}"] = [
                {"prompt": probe.prompt, "wanted": level, "own": 0.5} for probe in cell.probes
            ]
    return row


def _kept(folder: Path) -> KeptRuns:
    return KeptRuns.beside(folder / "tables.json")


def _rows(*names: str, seeds: tuple[int, ...] = (1, 2), **levels: float) -> dict[str, list[Row]]:
    return {name: [_row(CELLS[name], seed, **levels) for seed in seeds] for name in names}


def _lines(section: str, rows: dict[str, list[Row]]) -> list[dict[str, str]]:
    by_name = {found.name: found for found in SECTIONS}
    sheet = by_name[section].sheet(by_name[section].rows(rows))
    return [dict(zip(sheet.header, row, strict=True)) for row in sheet.rows]


def test_table_2_has_a_row_a_task_and_method_that_was_run_with_the_papers_figure_beside() -> None:
    rows = _rows("blue-rose/hero", "blue-rose/d3po", "hand/enhanced prompt")
    lines = _lines("table2", rows)
    assert [(line["task"], line["method"]) for line in lines] == [
        ("hand", "enhanced prompt"),
        ("blue-rose", "pretrained"),
        ("blue-rose", "d3po"),
        ("blue-rose", "hero"),
    ]
    assert lines[0]["labels"] == "0"
    assert (lines[1]["N(0, I)"], lines[1]["paper"]) == ("0.40 ± 0.00", "0.354")
    assert (lines[2]["pi_HERO"], lines[2]["N(0, I)"]) == ("-", "0.65 ± 0.64")
    assert (lines[3]["pi_HERO"], lines[3]["labels"]) == ("0.65 ± 0.64", "512")
    assert lines[3]["paper"] == "0.807"


def test_labels_needed_stand_beside_d3pos_with_what_was_not_reached() -> None:
    rows = _rows("blue-rose/hero 16x64", success=0.9, seeds=(1,))
    rows |= _rows("blue-rose/d3po 32x64", success=0.9, seeds=(1,))
    hero, d3po = _lines("labels", rows)
    # .45 before the first label, .9 after 64: (.8 - .45) / .45 of 64 labels.
    assert hero["pi_HERO: labels needed"] == "50"
    # .45 on N(0, I) until the 200 images at the end say .9: from 960 to 1024 labels.
    assert hero["N(0, I): labels needed"] == "1009"
    assert hero["labels given"] == "1024"
    assert (d3po["N(0, I): labels needed"], d3po["pi_HERO: labels needed"]) == ("50", "-")
    rows = _rows("blue-rose/hero 16x64", success=0.5, seeds=(1,))
    (alone,) = _lines("labels", rows)
    assert alone["N(0, I): labels needed"] == "not reached"
    assert "0 of 1" in alone.values()


def test_other_families_stand_with_their_own_models_figures() -> None:
    rows = _rows("tiny-sd3/blue-rose/hero", "tiny-sdxl/black-cat/hero+")
    first, second = _lines("families", rows)
    assert (first["model"], first["process"], first["method"]) == (
        "tiny-sd3",
        "flow matching",
        "hero",
    )
    assert first["N(0, I), pretrained"] == "0.40 ± 0.00"
    assert first["by epoch"] == ".32 " + " ".join([".65"] * 7)
    assert (second["task"], second["pi_HERO"]) == ("black-cat", "0.65 ± 0.64")
    jobs = [CELLS[name].job(1, _kept(Path()), {}) for name in rows]
    assert len({job.spec["weights"] for job in jobs}) == 2


def test_times_fewer_compares_the_seeds_that_both_have() -> None:
    rows = _rows("blue-rose/hero 16x64", success=0.9, seeds=(1, 2))
    rows |= _rows("blue-rose/d3po 32x64", success=0.9, seeds=(2,))
    found = labels._times_fewer(
        rows["blue-rose/hero 16x64"], rows["blue-rose/d3po 32x64"], "bank", 0.8
    )
    assert found == "1.0"


def test_table_4_says_whose_general_reward_it_was_and_takes_pickscore_by_path() -> None:
    rows = _rows("mountain/ddpo, cleanness", "mountain/hero")
    lines = _lines("table4", rows)
    assert [line["method"] for line in lines] == ["pretrained", "ddpo, cleanness", "hero"]
    assert [line["labels"] for line in lines] == ["0", "0", "512"]
    assert lines[1]["paper"] == "0.375"
    scored = table4.cells("/weights")["mountain", table4.PICKSCORE].settings(1)
    assert (scored.method.reward_model, scored.method.reward_model_path) == (
        "pickscore",
        "/weights",
    )
    assert scored.epochs == 50


def test_table_5_compares_the_seconds_with_all_steps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speed = tmp_path / "speed.json"
    timed = {"5": {"seconds": 2.0}, "all": {"seconds": 6.0}}
    speed.write_text(json.dumps({"update_by_trained_steps": timed}))
    monkeypatch.setattr(table5, "SPEED", speed)
    five, everything = _lines("table5", _rows("hand/hero trained_steps=5", EVERY_STEP, seeds=(1,)))
    assert (five["K"], five["seconds"], five["times faster"], five["paper"]) == (
        "5",
        "2.00",
        "3.0",
        "4",
    )
    assert everything["times faster"] == "1.0"
    assert table5.cells()[10].name == "hand/hero"


def test_table_5_has_no_seconds_before_they_were_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(table5, "SPEED", tmp_path / "speed.json")
    (line,) = _lines("table5", _rows(EVERY_STEP))
    assert (line["seconds"], line["times faster"]) == ("-", "-")


def test_a_setting_that_the_preset_has_is_the_presets_own_cell() -> None:
    own = PRESETS["tiny"]["best_image_ratio"]
    assert figure5.cells()[f"beta {own}"].name == "black-cat/hero"


def test_a_probed_share_is_the_mean_over_prompts_and_then_over_seeds() -> None:
    probes = tuple(Probe(prompt, {"stamp": "no"}) for prompt in ("a", "b"))
    cell = Cell("x", TASKS["blue-rose"], probes=probes, probe_images=50)
    rows = [_row(cell, 1)]
    rows[0]["probes_normal"][1]["wanted"] = 0.8
    assert transfer.probed(rows, "normal", "wanted", ["a", "b"]) == "0.70"
    assert transfer.probed(rows, "normal", "own", ["b"]) == "0.50"
    assert transfer.probed([{}], "normal", "own", ["b"]) is None


def test_transfer_has_a_line_for_the_mean_over_the_other_prompts_and_one_for_each() -> None:
    probes = tuple(Probe(prompt, {"stamp": "no"}) for prompt in ("a", "b"))
    cell = Cell("x", TASKS["blue-rose"], probes=probes, probe_images=50)
    table = Sheet("t", transfer.HEADER, words=3)
    transfer._add(table, "no date stamp", "hero", cell, [_row(cell, 1)], mean=True)
    assert [row[2] for row in table.rows] == [
        f"learned: {TASKS['blue-rose']}",
        "mean of 2 others",
        "a",
        "b",
    ]
    assert table.rows[0][4:] == ["0.40", "0.60", "0.60", "-", "-", "-"]
    assert table.rows[1][4:] == ["0.60", "0.60", "0.60", "0.50", "0.50", "0.50"]


def test_the_avoided_concept_is_measured_on_prompts_that_are_not_near_the_learned_one() -> None:
    cell = transfer.avoid_cells()["hero"]
    assert cell.wanted == {"subject": "rose", "clean": "yes", "stamp": "no"}
    found = {probe.prompt for probe in cell.probes}
    assert found == set(tasks()) - set(TASKS.values()) - {"photo of one blue rose"}
    assert all(probe.wanted == {"stamp": "no"} for probe in cell.probes)


def test_appendix_f_has_only_the_figures_that_were_measured() -> None:
    lines = _lines("appendixF", _rows("hand/hero"))
    assert [line["noise"] for line in lines] == ["N(0, I), pretrained", "N(0, I)", "pi_HERO"]
    assert [name for name in lines[0] if "diversity" in name] == ["diversity, judge"]
    assert not any("CLIP" in name for name in lines[0])


def test_the_decisive_runs_come_first_and_every_cell_once() -> None:
    names = list(CELLS)
    assert names[:10] == [f"{task}/{method}" for method in ("hero", "d3po") for task in TASKS]
    shown = [cell for section in SECTIONS for cell in section.cells]
    assert set(names) == {cell.name for cell in shown}
    assert all(CELLS[cell.name] == cell for cell in shown)


def test_cells_are_chosen_by_the_name_that_any_table_gives_them() -> None:
    quick = plan.chosen(SECTIONS, plan.QUICK)
    assert [cell.name.split("/")[1] for cell in quick] == ["enhanced prompt", "hero+"]
    assert {cell.name for cell in plan.chosen(SECTIONS, "table5/hand/hero$")} == {"hand/hero"}
    assert "table4/blue-rose/hero" in plan.names_of(CELLS["blue-rose/hero"], SECTIONS)


def test_quick_takes_less_than_ten_minutes_on_two_cores() -> None:
    assert sum(cell.minutes() for cell in plan.chosen(SECTIONS, plan.QUICK)) / 2 < 10


def test_every_run_has_a_name_and_a_file_of_its_own(tmp_path: Path) -> None:
    jobs = plan.jobs_of(list(CELLS.values()), [1, 2], _kept(tmp_path), {})
    assert len({slug(job.name) for job in jobs.values()}) == len(jobs)


def test_cells_that_the_tiny_world_cannot_judge_are_left_out_with_the_reason() -> None:
    known = of_task("blue-rose", "hero")
    unknown = Cell("x", "a green dog", wanted={"dog.colour": "green"})
    untold = Cell("y", "1 hand")
    heads = {name: list(values) for name, values in Judge.load().values.items()}
    heads["hand.fingers"] = ["3"]
    cells, lacking = plan.runnable([known, unknown, untold], heads)
    assert cells == [known]
    assert lacking == {"x": ["a green dog", "dog.colour green"], "y": ["hand.fingers 5"]}


def test_enhanced_prompts_are_read_whole() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(PIPELINE, subfolder="tokenizer")
    heads = Judge.load().values
    for task in TASKS:
        if not enhanced(task).unknown(heads):
            length = len(tokenizer(ENHANCED[task], verbose=False).input_ids)
            assert length <= tokenizer.model_max_length, ENHANCED[task]


def test_only_methods_with_a_bank_are_measured_on_it() -> None:
    for cell in CELLS.values():
        assert ("bank" in cell.evaluated) == (cell.settings(0).method.name in BANKED)
    assert enhanced("hand").labels == 0


def test_a_kept_row_counts_whatever_settings_came_later_but_not_with_other_weights(
    tmp_path: Path,
) -> None:
    job = of_task("hand", "hero").job(1, _kept(tmp_path), {})

    def finished_with(spec: dict[str, Any]) -> bool:
        job.kept.add(job.name, Run(spec, {"seed": 1}))
        return job.finished() == {"seed": 1}

    younger = ("format", "model", "step_back_drop")
    older = {name: value for name, value in job.spec["config"].items() if name not in younger}
    assert finished_with(job.spec | {"config": older})
    assert not finished_with(job.spec | {"config": older | {"learning_rate": 1.0}})
    assert not finished_with(job.spec | {"config": older | {"no_such_field": 1}})
    assert not finished_with(job.spec | {"weights": "others"})


@pytest.mark.slow
def test_the_page_has_every_table_with_rows_and_the_plots(tmp_path: Path) -> None:
    rows = _rows(*CELLS)
    found = page.write(tmp_path / "t.json", "c", [1, 2], SECTIONS, list(CELLS.values()), rows)
    assert set(found) == {section.name for section in SECTIONS}
    text = (tmp_path / "t.md").read_text()
    assert all(sheet.title in text for sheet in found.values())
    for figure in ("figure3", "figure5", "labels"):
        drawn = tmp_path / f"t-{figure}.svg"
        assert ElementTree.parse(drawn).getroot().tag.endswith("svg")
        assert f"({drawn.name})" in text
    written = json.loads((tmp_path / "t.json").read_text())
    assert {cell["name"] for cell in written["cells"]} == set(CELLS)
    assert "reports" not in written["cells"][0]["runs"][0]


def test_the_page_of_nothing_is_written_too(tmp_path: Path) -> None:
    assert page.write(tmp_path / "t.json", "c", [1], SECTIONS, list(CELLS.values()), {}) == {}


def test_the_cost_of_what_is_finished_is_nothing(tmp_path: Path) -> None:
    cell = of_task("hand", "d3po")
    jobs = plan.jobs_of([cell], [1, 2], _kept(tmp_path), {})
    jobs[cell.name, 1].keep({"seed": 1})
    first, total = plan.costs([cell], SECTIONS, jobs, 2).rows
    assert first[:2] == ["table2/hand/d3po", "appendixF"]
    assert first[4] == "1 of 2"
    assert total[-1] == f"{cell.minutes() / 2:.0f}"


def test_a_probe_counts_what_is_wanted_and_what_the_prompt_itself_asks_for(images) -> None:
    class Telling(BrightIsGood):
        def success(self, images, prompt):
            return [isinstance(prompt, Task)] * len(images)

    asked = []

    def sample(n: int, **how: Any) -> SimpleNamespace:
        asked.append(how)
        return SimpleNamespace(images=images[:n])

    run = SimpleNamespace(sample=sample, config=SimpleNamespace(seed=3))
    probe = {"prompt": "1 hand", "wanted": {"stamp": "no"}}
    found = _probed(run, Telling(), probe, "bank", "bank", 4)
    assert found == {"prompt": "1 hand", "wanted": 1.0, "own": 0.0}
    assert asked == [{"prompt": "1 hand", "noise": "bank", "seed": 20_003}]


@pytest.mark.slow
def test_a_cell_is_run_kept_and_not_run_again(tmp_path: Path) -> None:
    config = {"epochs": 1, "images_per_epoch": 4, "num_inference_steps": 4, "trained_steps": 2}
    small = {"method": "hero", **config}
    cell = Cell("blue-rose/hero small", TASKS["blue-rose"], small, curve_images=2)
    job = cell.job(1, _kept(tmp_path), {})
    job.spec["images"] = 4
    assert not cell.unknown(Judge.load().values)
    (row,) = run_jobs([job], run_cell, 1, Console(quiet=True))
    assert len(row["success_by_epoch"]) == 1
    assert {"success_bank", "success_normal", "alignment_judge_normal"} <= set(row)
    assert row["taste"] == "cleanest"
    assert job.finished() == row
    assert run_jobs([job], None, 1, Console(quiet=True)) == [row]
