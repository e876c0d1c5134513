"""What the comparison of variants reads from its runs."""

import dataclasses
import json
import math
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file, save_file

from benchmarks import fingerprint, research, research_figures, research_plot, research_run
from benchmarks.cells import Options
from benchmarks.kept_runs import Row, Run, slug
from benchmarks.variants import BASELINE, FAMILIES, PLUS, variants
from hero_engine.presets import preset
from tinyworld import words
from tinyworld.bundled import PIPELINE
from tinyworld.generate import load_pipeline
from tinyworld.tasks import tasks

PROMPT = "photo of one blue rose in a vase"


def _row(seed: int, *normal: float, **fields: Any) -> Row:
    usual = {
        "seed": seed,
        "labels": [64 * (epoch + 1) for epoch in range(len(normal))],
        "normal_by_epoch": list(normal),
        "success_by_epoch": [0.5] * len(normal),
        "success_normal": normal[-1],
        "success_bank": 0.9,
        "good_spread_normal": 0.6,
        "good_spread_bank": 0.32,
        "transfer": {"1 hand": 0.1, "a cat": 0.5},
        "reports": [{"note": ""}, {"note": "unusual"}],
        "minutes": 5.0,
    }
    return usual | fields


def _before(seed: int) -> Row:
    return {
        "seed": seed,
        "success_epoch": 0.3,
        "good_spread_normal": 0.8,
        "transfer": {"1 hand": 0.15, "a cat": 0.41},
    }


def _said(out: Path, **fields: Any) -> Options:
    usual = {"seeds": [1, 2], "prompt": PROMPT, "processes": 1, "quick": False, "fresh": False}
    usual |= {"finished": False, "only": "", "command": "c", "out": out}
    numbers = {name: number.default for name, number in research.NUMBERS.items()}
    return Options(**(usual | {"numbers": numbers} | fields))


def test_variants_are_settings_of_the_engine_with_files_of_their_own() -> None:
    found = variants()
    assert {variant.family for variant in found} == set(FAMILIES)
    assert {BASELINE, PLUS, *research.QUICK_VARIANTS} <= {variant.name for variant in found}
    assert len({slug(variant.name) for variant in found}) == len(found)
    configs = [preset("tiny", **{"method": "hero", **variant.config}) for variant in found]
    for config, variant in zip(configs, found, strict=True):
        assert (config.method.name == "hero+") == (variant.family != "HERO")
    assert len({config.model_dump_json() for config in configs}) == len(found)


def test_what_a_run_reached_and_lost() -> None:
    row = _row(1, 0.3, 0.85, 0.7, 0.96, 0.9, 0.97)
    assert research_figures.labels_to(row, None, 0.8) == round(64 * 2 ** (0.5 / 0.55)) == 120
    assert research_figures.labels_to(row, None, 0.95) == round(192 * (4 / 3) ** (0.25 / 0.26))
    assert research_figures.labels_to(row, None, 0.99) is None
    assert research_figures.labels_to(row, {"success_epoch": 0.2}, 0.25) == 32
    assert research_figures.at_goal(row) == 0.96
    assert research_figures.largest_fall(row["normal_by_epoch"]) == pytest.approx(0.15)
    assert research_figures.fall_afterwards(row) == pytest.approx(0.06)
    short = _row(1, 0.3, 0.5)
    assert research_figures.at_goal(short) is research_figures.fall_afterwards(short) is None
    assert research_figures.largest_fall([0.3, 0.5]) == 0
    assert not research_figures.collapsed(row)
    assert research_figures.collapsed(_row(1, 0.3, 0.9, 0.4))
    assert research_figures.collapsed(_row(1, 0.3, 0.3, success_by_epoch=[0.9, 0.4]))


def test_figures_stand_beside_the_pretrained_models_of_the_same_seed() -> None:
    rows = [_row(1, 0.5, 0.8), _row(2, 0.5, 0.9, good_spread_normal=None)]
    of = research_figures.figures(rows, {1: _before(1), 2: _before(2)})
    assert of["kept_spread_normal"] == {"mean": pytest.approx(0.75), "half": None}
    assert of["kept_spread_bank"]["mean"] == pytest.approx(0.4)
    assert of["transfer"]["mean"] == pytest.approx(0.02)
    assert list(of["transfer_by_prompt"]) == ["1 hand", "a cat"]
    assert of["labels_to_0.8"] == [128, round(64 * 2**0.75)]
    alone = research_figures.figures(rows, {})
    assert alone["transfer"] is alone["kept_spread_normal"] is alone["success_at_goal"] is None


def test_spread_is_the_brute_force_mean_distance() -> None:
    latents = torch.randn(5, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    pairs = [(latents[i] - latents[j]).norm() / math.sqrt(18) for i in range(5) for j in range(i)]
    assert research_run.spread(latents) == pytest.approx(float(sum(pairs)) / 10, rel=1e-5)
    assert research_run.spread(latents[:1]) is None


def test_a_fingerprint_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_text("weights")
    judge = tmp_path / "judge"
    judge.write_text("judge")

    def found() -> str:
        return fingerprint.fingerprint(tmp_path / "model", judge)

    first = found()
    assert first == found()
    judge.write_text("another")
    second = found()
    judge.write_text("judge")
    assert found() == first
    (tmp_path / "model" / "a").rename(tmp_path / "model" / "b")
    assert len({first, second, found()}) == 3
    assert len(fingerprint.tiny()) == len(fingerprint.tiny(PROMPT)) == 16


def test_a_prompts_fingerprint_is_of_its_own_words(tmp_path: Path, monkeypatch) -> None:
    copied = tmp_path / "pipeline"
    shutil.copytree(PIPELINE, copied)
    monkeypatch.setattr(fingerprint, "PIPELINE", copied)
    prompts = {"rose": "one rose", "mountain": "mountains from a train window"}
    before = {name: fingerprint.tiny(prompt) for name, prompt in prompts.items()}
    weights = copied / "text_encoder" / "model.safetensors"
    tensors = load_file(weights)
    table = next(name for name in tensors if name.endswith("token_embedding.weight"))
    (train,) = words.token_ids(load_pipeline(copied), ["train"])
    tensors[table][train] += 1
    save_file(tensors, weights)
    after = {name: fingerprint.tiny(prompt) for name, prompt in prompts.items()}
    assert after["rose"] == before["rose"]
    assert after["mountain"] != before["mountain"]
    tensors[next(name for name in tensors if name != table)] += 1
    save_file(tensors, weights)
    assert fingerprint.tiny("one rose") != before["rose"]


def test_a_kept_run_counts_for_the_same_model_fields_and_numbers_only(tmp_path: Path) -> None:
    said, variant = _said(tmp_path / "research.json"), variants()[-1]
    job = research.job_of(variant, 1, said, "model 1")
    assert job.spec["transfer"] == research.others(PROMPT)
    assert {PROMPT, *job.spec["transfer"]} == {p for p in tasks() if "train window" not in p}
    job.keep({"seed": 1})

    def finished(variant=variant, said=said, tiny="model 1") -> bool:
        return research.job_of(variant, 1, said, tiny).finished() is not None

    assert finished()
    assert not finished(tiny="model 2")
    assert not finished(said=dataclasses.replace(said, numbers={**said.numbers, "images": 7}))
    changed = dataclasses.replace(variant, config={**variant.config, "margin": 0.4})
    assert not finished(changed)
    older = {name: value for name, value in job.spec["config"].items() if name != "margin"}
    job.kept.add(job.name, Run({**job.spec, "config": older}, {"seed": 1}))
    assert finished()
    assert not finished(changed)


def test_results_are_written_with_table_and_plot(tmp_path: Path) -> None:
    said = _said(tmp_path / "research.json")
    rows = {
        BASELINE: [_row(1, *[0.4] * 8), _row(2, *[0.5] * 8)],
        PLUS: [_row(1, 0.4, 0.6, 0.9, 0.96, 0.97, 0.9, 0.97, 0.98)],
    }
    pretrained = {1: _before(1)}
    table = research.write(said, variants(), pretrained, rows)
    assert [row[0] for row in table.rows] == [BASELINE, PLUS]
    assert table.rows[1][1:] == [
        "1", "0.96", "0.98", "0.90", "168", "244", "0.75", "0.40", "0.07", "0.07", "+0.02",
        "-0.05", "0",
    ]  # fmt: skip
    result = json.loads(said.out.read_text())
    assert result["model"] == research.model(said)
    assert result["variants"][1]["config"]["method"] == "hero+"
    assert result["variants"][0]["runs"][0]["notes"] == ["", "unusual"]
    assert "seeds 1, 2" in said.out.with_suffix(".md").read_text()
    assert ElementTree.parse(said.out.with_suffix(".svg")).getroot().tag.endswith("svg")


def test_curves_begin_with_the_pretrained_model_where_it_is_known() -> None:
    rows = [_row(1, 0.5, 0.7), _row(2, 0.7, 0.9)]
    assert research_plot.curve(rows, {1: _before(1)}) == (
        [0, 64, 128], [0.3, pytest.approx(0.6), pytest.approx(0.8)],
    )  # fmt: skip
    assert research_plot.curve(rows, {})[0] == [64, 128]
