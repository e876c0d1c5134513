import io
import json
import re

import pytest
from rich.console import Console

from benchmarks import tiny
from benchmarks.cells import RESULTS
from benchmarks.paper.cells import FIRST_PLUS
from benchmarks.specs import same
from hero_engine.presets import preset


def test_the_table_names_the_method_and_ends_with_the_mean():
    figures = {"success_pretrained": 0.3, "success_bank": 0.9, "success_normal": 0.5}
    figures |= {"diversity_pretrained": 0.6, "diversity_bank": 0.4, "diversity_normal": 0.5}
    runs = [
        {"seed": seed, "success_by_epoch": [0.25, 1.0], **figures, "success_normal": normal}
        for seed, normal in ((1, 0.5), (2, 0.75))
    ]
    console = Console(file=io.StringIO(), width=100)
    console.print(tiny.table("hero+", "1 hand", runs))
    lines = console.file.getvalue().splitlines()
    assert lines[0].strip() == "hero+, tiny model, “1 hand”"
    assert any(".25 1.00" in line for line in lines)
    (mean,) = (line for line in lines if "mean" in line)
    assert "0.625" in mean


def test_the_committed_runs_are_the_presets_and_the_page_has_their_figures():
    result = json.loads((RESULTS / "tiny-hero-plus.json").read_text())
    assert same({"config": result["config"]}, {"config": preset("tiny", **FIRST_PLUS).flat()})
    page = " ".join((RESULTS.parent / "README.md").read_text().split())
    said = re.search(r"seeds 1,2,3` gave (\d+), (\d+) and (\d+) % success on fresh noise", page)
    assert [int(each) for each in said.groups()] == [
        pytest.approx(100 * run["success_normal"], abs=0.51) for run in result["runs"]
    ]
