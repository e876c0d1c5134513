"""docs/how-it-works.md names only what exists, and only figures that were measured."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest

from hero_engine.config import HeroConfig

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how-it-works.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:backend|benchmarks|hero_engine)/[^`]*?)`", PAGE)))


def names_in(path: Path) -> set[str]:
    """What a module defines: functions, classes with their methods, values."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


@pytest.mark.parametrize("name", NAMED)
def test_every_place_in_the_code_exists(name):
    path, _, defined = name.partition(":")
    assert (ROOT / path).exists()
    assert not defined or defined in names_in(ROOT / path)


def test_the_page_covers_the_engine():
    places = {name.partition(":")[0] for name in NAMED}
    mathematics = {
        "diffusion/sampling",
        "diffusion/forward_process",
        "feedback/embedding",
        "feedback/noise_bank",
        "feedback/replay",
        "feedback/reward",
        "methods/policy_gradient",
    }
    assert {f"hero_engine/{name}.py" for name in mathematics} <= places


def test_every_field_and_method_exists():
    fields = set(re.findall(r"`HeroConfig\.(\w+)", PAGE))
    assert fields
    assert fields <= set(HeroConfig.model_fields)
    rows = re.findall(r"^\| `([\w+]+)` \| .*`hero_engine/", PAGE, re.M)
    assert rows == list(HeroConfig.model_fields["method"].annotation.__args__)


FIGURES: dict[str, Callable[[dict], float]] = {
    "fresh noises": lambda run: run["success_normal"],
    "noises from the bank": lambda run: run["success_bank"],
    "spread on fresh noises": lambda run: run["diversity_normal"] / run["diversity_pretrained"],
    "spread from the bank": lambda run: run["diversity_bank"] / run["diversity_pretrained"],
}
TASKS = ("blue-rose", "hand", "black-cat", "narcissus", "mountain")


@pytest.mark.parametrize("method", ["hero+", "hero"])
@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_those_of_the_result_file(method, name):
    expected = _means(method, FIGURES[name])
    assert _figures(f"`{method}`, {name}") == pytest.approx(expected, abs=0.0051)


@pytest.mark.parametrize("method", ["dreambooth", "d3po"])
def test_the_other_methods_success_is_that_of_the_result_file(method):
    expected = _means(method, FIGURES["fresh noises"])
    assert _figures(f"`{method}`, fresh noises") == pytest.approx(expected, abs=0.0051)


def test_the_pretrained_models_success_is_that_of_the_result_file():
    of = _means("hero", lambda run: run["success_pretrained"])
    assert _figures("success, pretrained") == pytest.approx(of, abs=0.0051)


def _figures(row: str) -> list[float]:
    """A row of the page's table, by task."""
    found = re.search(rf"^\| {re.escape(row)} \| (.*) \|$", PAGE, re.M)
    assert found is not None
    return [float(figure) for figure in found.group(1).split(" | ")]


def _means(method: str, figure: Callable[[dict], float]) -> list[float]:
    cells = json.loads((ROOT / "benchmarks/results/tables.json").read_text())["cells"]
    runs = {cell["name"]: cell["runs"] for cell in cells}
    assert all(len(runs[f"{task}/{method}"]) == 3 for task in TASKS)
    return [mean(map(figure, runs[f"{task}/{method}"])) for task in TASKS]


def test_speeds_are_those_of_the_result_file():
    speed = json.loads((ROOT / "benchmarks/results/speed.json").read_text())
    ratios, parts = speed["ratios"]["seconds"], speed["parts"]
    processor = speed["ratios"]["cpu_seconds"]
    by_steps = {k: timed["seconds"] for k, timed in speed["update_by_trained_steps"].items()}
    memory = [parts[name]["peak_megabytes"] for name in ("update", "update, one step at a time")]
    for figure in (
        f"takes {ratios['sampling to bare pipeline']:.2f} of the time",
        f"{ratios['one step at a time to update']:.2f} times faster",
        f"({processor['one step at a time to update']:.2f} in processor time)",
        f"for {memory[0] / memory[1]:.1f} times the memory",
        f"reaches {100 * speed['unet']['share_of_ceiling']:.0f} % of",
        f"{by_steps['all'] / by_steps['5']:.1f} times faster than with all 20",
    ):
        assert figure in PAGE
