"""What a user installs: the wheel has all that runs need, and no more."""

from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGES = {"backend", "hero_engine", "tinyworld"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("wheel")
    [built] = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with ZipFile(built) as opened:
        yield opened


@pytest.fixture(scope="module")
def names(wheel: ZipFile) -> set[str]:
    return set(wheel.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile, names: set[str]) -> Message:
    [file] = [name for name in names if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(file))


def in_the_repository(package: str) -> set[str]:
    files = (path for path in (ROOT / package).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def test_it_holds_the_three_packages_alone(names: set[str]):
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_it_holds_all_files_of_a_package_but_sample_pictures(names: set[str], package: str):
    left_out = in_the_repository(package) - names
    assert all(name.startswith("tinyworld/samples/") for name in left_out), left_out
    assert not any(name.endswith(".png") for name in names)


@pytest.mark.parametrize(
    "name",
    [
        "backend/tasks/label_config.xml",
        "backend/tasks/label_config_gallery.xml",
        "backend/tasks/label_config_pairs.xml",
        "backend/dashboard/templates/run.html",
        "backend/dashboard/static/dashboard.css",
        "backend/store/migrations/versions/0001_runs.py",
        "tinyworld/judge.safetensors",
        "tinyworld/pipeline/model_index.json",
        "tinyworld/pipeline/unet/diffusion_pytorch_model.safetensors",
        "tinyworld/pipeline_sd3/transformer/diffusion_pytorch_model.safetensors",
        "tinyworld/pipeline_sdxl/unet/diffusion_pytorch_model.safetensors",
    ],
)
def test_it_holds_what_a_run_reads(names: set[str], name: str):
    assert name in names


def test_a_package_index_takes_its_requirements(metadata: Message):
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    assert len(requirements) > 30
    assert [str(each) for each in requirements if each.url] == []


def test_it_says_where_to_read_on(metadata: Message):
    urls = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
    assert all(url.startswith("https://") for url in urls.values())
    assert {"Paper", "Label Studio"} <= urls.keys()
