"""Every family of models goes the whole circle, with every method, in a real Label Studio.

The small models that have learned something stand for Stable Diffusion, SDXL and Stable Diffusion
3; FLUX has random weights.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from backend.engine_files import missing_rows, row_folder
from backend.exports import export
from backend.exports.drawing import draw
from backend.local import processes
from backend.run.records import Run
from backend.run.states import State
from tests.e2e.service import Service
from tests.hero_engine.tiny import save_flux
from tests.hero_engine.tiny.clip import save_clip

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

VALUES = ["good", "bad", "best", "bad"]
ROSE = "photo of one blue rose in a vase"
SOLVERS = {"tiny": "dpm++", "tiny-sdxl": "euler", "tiny-sd3": "unipc", "flux": "dpm++"}
"""Of each family, a sampler that is not the run's."""
FEW_STEPS = {"denoising_steps": 2, "denoising_batch_size": 4}
OF_METHOD: dict[str, dict[str, object]] = {
    "hero": {},
    "hero+": {**FEW_STEPS, "denoising_full_share": 0.0},
    "d3po": {},
    "ddpo": {"reward_model": "pickscore"},
    "dreambooth": {**FEW_STEPS, "prior_images": 2},
    "prompt": {"enhanced_prompt": f"{ROSE}, in the sun"},
}


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_flux(tmp_path_factory.mktemp("models") / "flux"))


@pytest.fixture(scope="module")
def reward(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_clip(tmp_path_factory.mktemp("models") / "clip"))


@pytest.fixture(params=SOLVERS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def service(label_studio, family: str, request: pytest.FixtureRequest) -> Iterator[Service]:
    home = label_studio.root / f"{request.function.__name__}-{family}"
    row = 2 if request.function is test_the_circle_and_all_that_comes_of_it else 0
    service = Service(home, label_studio, poll_seconds=3600, sample_row=row).start()
    yield service
    service.stop()


@pytest.fixture
def start(service: Service, family: str, flux: str) -> Callable[..., Run]:
    def start(method: str, **fields: object) -> Run:
        model = flux if family == "flux" else family
        settings = {**OF_METHOD[method], **fields}
        return service.start_run(model, prompt=ROSE, method=method, **settings)

    return start


def label(service: Service, run: Run, epoch: int) -> None:
    service.label(service.wait(run, State.labelling, epoch=epoch), VALUES)


def learned(service: Service, run: Run) -> list[bool]:
    return [bool(row.report and row.report["updated"]) for row in service.store.epochs(run.id)]


def wait_for_rows(service: Service, run: Run) -> None:
    """After them the worker loads no more models; two threads at once could not."""

    def drawn() -> bool:
        return not missing_rows(service.settings, run)

    assert processes.wait_until(drawn, seconds=120, alive=lambda: True)


@pytest.mark.parametrize("method", ["hero", "hero+"])
def test_the_circle_and_all_that_comes_of_it(
    service: Service, family: str, start: Callable[..., Run], method: str, tmp_path: Path
):
    run = start(method)
    side = 16 if family == "flux" else 64
    for epoch in range(2):
        label(service, run, epoch)
    run = service.wait(run, State.finished, epoch=2)
    assert learned(service, run) == [True, True]
    predicted = [task for task in service.sdk.tasks.list(project=run.project_id)]
    assert sorted(task.total_predictions for task in predicted) == [0] * 4 + [1] * 4

    settings = service.settings
    wait_for_rows(service, run)
    rows = [row_folder(settings, run.id, epoch) / "0001.png" for epoch in range(3)]
    assert {Image.open(row).size for row in rows} == {(side, side)}
    drawn = len({row.read_bytes() for row in rows})
    assert drawn == (2 if method == "hero+" else 3), "hero+ draws with the model that was judged"

    lora = export(settings, service.store, run, "lora", out=tmp_path / "rose.safetensors")
    assert any(
        tensor.any() for name, tensor in load_file(lora).items() if "up" in name or "B" in name
    )
    noise = export(settings, service.store, run, "noise", out=tmp_path / "noise")
    assert len(load_file(noise / "noise_bank.safetensors")["good"]) == 2
    images = export(settings, service.store, run, "images", out=tmp_path / "images")
    said = [json.loads(line) for line in (images / "metadata.jsonl").read_text().splitlines()]
    assert [each["verdict"] for each in said] == VALUES * 2
    for noise_from in ("bank", "normal"):
        made = draw(
            settings,
            run,
            2,
            prompt=None,
            noise=noise_from,
            scheduler=SOLVERS[family],
            seed=0,
            folder=tmp_path / noise_from,
            console=Console(quiet=True),
        )
        assert {Image.open(file).size for file in made.glob("0*.png")} == {(side, side)}


def test_the_other_methods(
    service: Service, start: Callable[..., Run], reward: str, tmp_path: Path
):
    runs = {
        method: start(method, **({"reward_model_path": reward} if method == "ddpo" else {}))
        for method in OF_METHOD
        if method not in ("hero", "hero+")
    }
    for epoch in range(2):
        for run in runs.values():
            label(service, run, epoch)
    ended = [service.wait(run, State.finished, epoch=2) for run in runs.values()]
    for method, finished in zip(runs, ended, strict=True):
        assert learned(service, finished) == [method != "prompt"] * 2
        target = tmp_path / f"{method}.safetensors"
        assert export(service.settings, service.store, finished, "lora", out=target).exists()
