"""Every figure in the tables of docs/results.md is the one in the result files."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = (ROOT / "docs" / "results.md").read_text()
TEXT = " ".join(PAGE.split())

Row = dict[str, Any]
TASKS = ("blue-rose", "hand", "black-cat", "narcissus", "mountain")
SHORT = ("rose", "hand", "cat", "narcissus", "mountain")
HIKER, SNOWY = "hiker watching beautiful mountains from the top of a hill", "snowy mountains"


def cells(file: str = "tables.json") -> dict[str, Row]:
    return {cell["name"]: cell for cell in json.loads((RESULTS / file).read_text())["cells"]}


CELLS = cells()


def runs(name: str) -> list[Row]:
    assert len(CELLS[name]["runs"]) == 3
    return CELLS[name]["runs"]


def rows(heading: str) -> dict[str, list[str]]:
    """The first table after a line of the page, by its first column."""
    assert PAGE.count(heading) == 1, heading
    table = re.search(r"(?:^\|.*\n)+", PAGE.split(heading)[1], re.M)
    assert table is not None
    lines = [line.strip("| ").split(" | ") for line in table[0].splitlines()]
    return {line[0].strip(" |"): [cell.strip(" |") for cell in line[1:]] for line in lines}


def percent(of: Callable[[Row], float], name: str) -> Any:
    """What a cell should say: the mean, rounded in either direction where it lies between two."""
    return pytest.approx(100 * mean(map(of, runs(name))), abs=0.51)


def number(text: str) -> float:
    found = re.match(r"[\d.]+", text)
    assert found is not None, text
    return float(found[0])


def success(row: Row) -> float:
    return row["success_normal"]


def pretrained(row: Row) -> float:
    return row["success_pretrained"]


def bank(row: Row) -> float:
    return row["success_bank"]


def spread(row: Row) -> float:
    return row["diversity_normal"] / row["diversity_pretrained"]


def spread_bank(row: Row) -> float:
    return row["diversity_bank"] / row["diversity_pretrained"]


@pytest.mark.parametrize("task", TASKS)
def test_the_first_table(task: str):
    prompt = CELLS[f"{task}/hero"]["prompt"]
    said = [number(cell) for cell in rows("are good?**")[f"`{prompt}`"]]
    assert said == [
        percent(pretrained, f"{task}/hero"),
        percent(success, f"{task}/hero"),
        percent(success, f"{task}/hero+"),
        percent(spread, f"{task}/hero+"),
    ]


@pytest.mark.parametrize("task", ["blue-rose", "hand"])
def test_the_table_of_the_readme(task: str):
    readme = (ROOT / "README.md").read_text()
    row = re.search(rf"^\| `{CELLS[f'{task}/hero']['prompt']}` \| (.*) \|$", readme, re.M)
    assert row is not None
    before, hero, *_ = map(number, row[1].split(" | "))
    assert before == percent(pretrained, f"{task}/hero")
    assert hero == percent(success, f"{task}/hero")


TABLE2 = {
    "success, pretrained": ("hero", pretrained),
    "`hero+`, fresh noise": ("hero+", success),
    "`hero+`, from the bank": ("hero+", bank),
    "`hero+`, spread on fresh noise": ("hero+", spread),
    "`hero+`, spread from the bank": ("hero+", spread_bank),
    "`hero`, fresh noise": ("hero", success),
    "`hero`, from the bank": ("hero", bank),
    "`hero`, spread on fresh noise": ("hero", spread),
    "`hero`, spread from the bank": ("hero", spread_bank),
    "`dreambooth`, fresh noise": ("dreambooth", success),
    "`d3po`, fresh noise": ("d3po", success),
}


@pytest.mark.parametrize("row", TABLE2)
def test_success_and_spread(row: str):
    method, figure = TABLE2[row]
    said = [number(cell) for cell in rows("## Success and spread")[row]]
    assert said == [percent(figure, f"{task}/{method}") for task in TASKS]


FAMILIES = sorted(name for name in CELLS if name.startswith("tiny-"))


def test_other_families_of_models():
    short, said = dict(zip(TASKS, SHORT, strict=True)), rows("## Other families of models")
    assert len(FAMILIES) == len(said) - 2
    for name in FAMILIES:
        model, task, method = name.split("/")
        own = CELLS[name]["runs"]
        cells = said[f"`{model}`, {short[task]}, `{method}`"]
        assert [number(cell) for cell in cells] == [
            *(
                pytest.approx(100 * mean(map(figure, own)), abs=0.51)
                for figure in (pretrained, success, bank, spread)
            ),
            len(own),
        ]


@pytest.mark.parametrize(("task", "short"), list(zip(TASKS, SHORT, strict=True)))
def test_every_single_run(task: str, short: str):
    said = rows("Each single run")[short]
    for cell, method in zip(said, ("hero+", "hero", "dreambooth", "d3po"), strict=True):
        expected = [100 * success(run) for run in runs(f"{task}/{method}")]
        assert [float(figure) for figure in cell.split(", ")] == pytest.approx(expected)


def test_d3po_falls_to_nothing_in_so_many_runs():
    said = re.search(r"falls to nothing in (\d+) of (\d+) runs", TEXT)
    assert said is not None
    found = [success(run) for task in TASKS for run in runs(f"{task}/d3po")]
    assert (int(said[1]), int(said[2])) == (sum(each < 0.03 for each in found), len(found))


def test_labels_needed():
    tables = (RESULTS / "tables.md").read_text().split("## Labels needed for 0.8")[1]
    found = re.findall(
        r"^\| (\S+) \| 0.8 \| (\S+) \| (\d+) \| (.*?) \| .*? \| .*? \| (.*?) \|", tables, re.M
    )[:6]
    measured = {(task, method): (fresh, bank) for task, method, _, fresh, bank in found}
    section = PAGE.split("## How many labels")[1].split("\n## ")[0]
    for short, task in (("rose", "blue-rose"), ("hand", "hand")):
        fresh, from_bank = measured[task, "hero+"]
        assert f"| {short} | `hero+` | {fresh} | {from_bank} |" in section
    assert f"| {measured['blue-rose', 'hero'][1]} |" in section
    for key in (("blue-rose", "hero"), ("hand", "hero"), ("hand", "d3po")):
        assert measured[key][0] == "not reached"
    ends = {"blue-rose/hero 16x64": "(61 % then)", "hand/hero 9x128": "(20 % then)"}
    for name, said in ends.items():
        assert number(said.strip("(")) == percent(success, name)
        assert said in section
    assert percent(bank, "hand/hero 9x128") == 72


ABLATIONS = {
    "*Reward* (Table 3, narcissus): `best`": "narcissus/hero",
    "`positives`": "narcissus/hero reward=positives",
    "`binary`": "narcissus/hero reward=binary",
    "`no-embedding`": "narcissus/hero reward=no-embedding",
    r"*Best-image ratio* (Figure 5, cat): $\beta$ 0": "black-cat/hero",
    r"$\beta$ 0.5": "black-cat/hero best_image_ratio=0.5",
    r"$\beta$ 1": "black-cat/hero best_image_ratio=1.0",
    "all batches from fresh noise": "black-cat/hero noise=normal",
    "*Which steps* (rose): random $K$": "blue-rose/hero",
    "the last $K$, about as Eq. 8 is printed": "blue-rose/hero trained_steps_choice=last",
    "*How many steps* (Table 5, hand): $K$ = 1": "hand/hero trained_steps=1",
    "$K$ = 5": "hand/hero trained_steps=5",
    "$K$ = 10": "hand/hero",
    "all 20 steps": "hand/hero trained_steps=all",
}


@pytest.mark.parametrize("row", ABLATIONS)
def test_the_ablations(row: str):
    from_bank, fresh, *_ = rows("## The paper's ablations")[row]
    assert number(from_bank) == percent(bank, ABLATIONS[row])
    assert number(fresh) == percent(success, ABLATIONS[row])


@pytest.mark.parametrize("task", ["blue-rose", "mountain", "narcissus", "black-cat"])
def test_ddpo(task: str):
    before, three = rows("**DDPO with")[dict(zip(TASKS, SHORT, strict=True))[task]]
    assert number(before) == percent(pretrained, f"{task}/hero")
    found = [100 * success(run) for run in runs(f"{task}/ddpo, cleanness")]
    assert [float(each) for each in three.split(", ")] == pytest.approx(found, abs=0.51)


def probe(when: str, what: str, prompt: str) -> Callable[[Row], float]:
    """Of another prompt: the share with what was learned (`wanted`), or its `own` conditions."""

    def of(row: Row) -> float:
        (found,) = (each for each in row[f"probes_{when}"] if each["prompt"] == prompt)
        return found[what]

    return of


def others(when: str, what: str) -> Callable[[Row], float]:
    return lambda row: mean(each[what] for each in row[f"probes_{when}"])


def test_a_taste():
    hero, plus = "mountain/hero prefers green", "mountain/hero+ prefers green"
    green = rows("calls only green scenery good")
    first = [number(cell) for cell in green["the learned prompt"]]
    assert first == [percent(pretrained, hero), percent(success, hero), percent(success, plus)]
    assert (
        f"({100 * mean(map(bank, runs(hero))):.0f} from the bank)" in green["the learned prompt"][1]
    )
    for row, prompt in ((f"`{HIKER}`", HIKER), (f"`{SNOWY}`", SNOWY)):
        assert [number(cell) for cell in green[row]] == [
            percent(probe("pretrained", "wanted", prompt), hero),
            percent(probe("normal", "wanted", prompt), hero),
            percent(probe("normal", "wanted", prompt), plus),
        ]
    own = rows("| `snowy mountains` | 22")
    for row, prompt in (("a hiker", HIKER), ("snow", SNOWY)):
        assert [number(cell) for cell in own[row]] == [
            percent(probe("pretrained", "own", prompt), hero),
            percent(probe("normal", "own", prompt), hero),
            percent(probe("normal", "own", prompt), plus),
        ]


def test_a_thing_to_avoid():
    hero, plus = "blue-rose/hero avoids stamps", "blue-rose/hero+ avoids stamps"
    said = rows("images with a printed date bad")
    before, *after = (number(cell) for cell in said["the rose"])
    assert [before, *after] == [
        percent(pretrained, hero),
        percent(success, hero),
        percent(success, plus),
    ]
    for row, what in (
        ("14 other prompts", "wanted"),
        ("14 other prompts: what they ask for is there", "own"),
    ):
        assert [number(cell) for cell in said[row]] == [
            percent(others("pretrained", what), hero),
            percent(others("normal", what), hero),
            percent(others("normal", what), plus),
        ]


ADVERSARY = "an adversary and two with errors 0.1"


def test_people_who_make_mistakes():
    measured = cells("annotator_errors.json")
    names = [
        "errors 0",
        "errors 0.2, majority",
        "errors 0.2, dawid-skene",
        "errors 0.2, one annotator",
        *(f"{ADVERSARY}, {policy}" for policy in ("dawid-skene", "majority")),
        *(f"{ADVERSARY}, {policy}" for policy in ("any-good", "all-good")),
    ]
    section = PAGE.split("## People who make mistakes")[1].split("\n## ")[0]
    said = re.findall(r"^\| .* \| (\d+) \| (\d+) \|$", section, re.M)
    expected = [
        [100 * measured[name][figure]["mean"] for figure in ("success_bank", "success_normal")]
        for name in names
    ]
    assert [[float(figure) for figure in row] for row in said] == [
        pytest.approx(row, abs=0.51) for row in expected
    ]


def test_the_benchmarks_page_on_people_who_make_mistakes():
    page = (ROOT / "benchmarks" / "README.md").read_text()
    section = page.split("## Annotators who make mistakes")[1].split("\n## ")[0]
    said = re.findall(r"^\| (.*?) ?\| (.*?) ?\| (\.\d+) \| (\.\d+) \| (\.\d+) \|$", section, re.M)
    measured, people = cells("annotator_errors.json"), ""
    assert len(said) == 15
    for who, policy, *figures in said:
        people = who or people
        rate = people.split("error rate ")[-1]
        start = ADVERSARY if "adversary" in people else f"errors {rate}"
        cell = measured[f"{start}, {policy.strip('`') or 'one annotator'}"]
        assert [float(figure) for figure in figures] == [
            pytest.approx(cell["success_bank"]["mean"], abs=0.0051),
            pytest.approx(cell["success_normal"]["mean"], abs=0.0051),
            pytest.approx(cell["verdict_accuracy"], abs=0.0051),
        ]


RESEARCH = json.loads((RESULTS / "research.json").read_text())


def trials(variant: str, seeds: range) -> list[Row]:
    """The runs of a variant on the rose with these seeds."""
    (found,) = (each for each in RESEARCH["variants"] if each["name"] == variant)
    kept = [run for run in found["runs"] if run["seed"] in seeds]
    assert len(kept) == len(seeds)
    return kept


def at_256(run: Row) -> float:
    return run["normal_by_epoch"][run["labels"].index(256)]


def kept_spread(run: Row) -> float:
    before = {each["seed"]: each for each in RESEARCH["pretrained"]}[run["seed"]]
    return run["good_spread_normal"] / before["good_spread_normal"]


def lost(run: Row, prompt: str) -> float:
    before = {each["seed"]: each for each in RESEARCH["pretrained"]}[run["seed"]]
    return before["transfer"][prompt] - run["transfer"][prompt]


PRESET, AT_ONCE = "first step, rarity, pull 1", "256 at once, batches of 64"


def test_labels_at_once():
    said = rows("among the good images:")
    for row, variant, seeds in (
        ("64 images per epoch (the preset)", PRESET, range(11, 16)),
        ("256 images per epoch", AT_ONCE, range(31, 36)),
    ):
        found = trials(variant, seeds)
        assert [number(cell) for cell in said[row]] == [
            pytest.approx(100 * mean(map(at_256, found)), abs=0.51),
            pytest.approx(100 * mean(map(kept_spread, found)), abs=0.51),
        ]


def test_what_two_yellow_roses_lose():
    def mean_loss(variant: str, *seeds: range) -> float:
        found = [run for some in seeds for run in trials(variant, some)]
        return 100 * mean(lost(run, "photo of two yellow roses") for run in found)

    held = "two red roses held"
    assert mean_loss(PRESET, range(11, 16)) == pytest.approx(20, abs=0.51)
    assert mean_loss(AT_ONCE, range(31, 36)) == pytest.approx(29, abs=0.51)
    assert mean_loss(f"{AT_ONCE}, {held}", range(31, 36), range(41, 46)) == pytest.approx(
        1, abs=0.51
    )
    assert mean_loss(PRESET, range(11, 15)) == pytest.approx(21, abs=0.51)
    assert mean_loss(f"{PRESET}, {held}", range(11, 15)) == pytest.approx(4, abs=0.51)
    for said in ("loses 20 points (29 with 256", "lose 1 point instead of 29 (ten runs; with"):
        assert said in TEXT
    assert "64 images per epoch 4 instead of 21, four runs" in TEXT


def test_the_goals_of_the_rose():
    found = trials(f"{AT_ONCE}, one in 32, two red roses held", range(46, 51))
    assert 100 * mean(map(at_256, found)) == pytest.approx(97, abs=0.51)
    assert 100 * mean(map(kept_spread, found)) == pytest.approx(93, abs=0.51)
    prompts = found[0]["transfer"]
    assert max(mean(lost(run, prompt) for run in found) for prompt in prompts) <= 0.0501
    assert "97 % success with 256 labels, 93 % of the spread" in TEXT


def test_speeds():
    speed = json.loads((RESULTS / "speed.json").read_text())
    ratios, parts = speed["ratios"]["seconds"], speed["parts"]
    processor = speed["ratios"]["cpu_seconds"]
    by_steps = {k: timed["seconds"] for k, timed in speed["update_by_trained_steps"].items()}
    loop = "update in a loop, {}, to ours"
    memory = [parts[name]["peak_megabytes"] for name in ("update", "update in a loop, 8 / 2")]
    for figure in (
        f"takes {ratios['sampling to bare pipeline at its best batch']:.2f} of the time",
        f"{ratios[loop.format('8 / 2')]:.2f} times faster",
        f"({processor[loop.format('8 / 2')]:.2f} in processor time)",
        f"{ratios[loop.format('8 / 4')]:.2f} and {ratios[loop.format('1 / 1')]:.2f} times faster",
        f"120 steps | {parts['an epoch of hero+']['seconds']:.0f} seconds",
        f"for {memory[0] / memory[1]:.1f} times the memory",
        f"reaches {100 * speed['unet']['share_of_ceiling']:.0f} % of",
        f"{by_steps['all'] / by_steps['5']:.1f} times faster than with all 20",
    ):
        assert figure in PAGE
