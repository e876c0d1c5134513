"""What a run needs of this machine: packages, model, GPU, disk, database."""

import importlib.metadata
import shutil
from pathlib import Path

from backend.doctor.finding import Note
from backend.errors import SettingsInvalid
from backend.settings import Settings
from backend.store import Store, migrations

PACKAGES = ("torch", "diffusers", "transformers", "peft", "accelerate", "label-studio-sdk")
LEAST_FREE_GIGABYTES = 2.0


def packages() -> str:
    """The engine's packages are installed."""
    missing = [name for name in PACKAGES if not _version(name)]
    if missing:
        raise SettingsInvalid(
            f"{', '.join(missing)} cannot be found; install the project with `pip install -e .`"
        )
    versions = [f"{name} {_version(name)}" for name in PACKAGES]
    own = _version("label-studio")
    versions.append(
        f"label-studio {own}" if own else "no label-studio of its own (one elsewhere is needed)"
    )
    return ", ".join(versions)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def model(settings: Settings, name: str | None = None, revision: str | None = None) -> str:
    """A model can be used, as `hero start` sees it: the one named, or that of runs that name
    none."""
    from backend import engine

    return engine.check_model(name or settings.model or "tiny", revision)


def trial(settings: Settings, name: str, revision: str | None) -> str:
    """What an epoch takes with a model, as `hero start` would say it."""
    from backend import engine
    from backend.show import forecast
    from backend.worker.first_trial import why_not_here

    store = Store.open(settings)
    try:
        why = why_not_here(settings, store)
    finally:
        store.close()
    if why:
        raise Note(
            f"what an epoch takes was not tried, since {why}; ask again on the worker's machine, "
            "while it has nothing to do."
        )
    precision = settings.mixed_precision or "no"
    config = engine.make_config(
        model=name, revision=revision, prompt="a rose", mixed_precision=precision
    )
    decided, found = engine.try_out(config)
    return (
        f"{forecast.in_words(found)} ({decided.method.name}, {decided.images_per_epoch} images of "
        f"{decided.sampling.num_inference_steps} steps; {forecast.batch_sizes(found)})"
    )


def gpu() -> str:
    """What draws and learns here."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return f"{torch.cuda.get_device_name()}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free"
    if torch.backends.mps.is_available():
        return f"Apple GPU, {torch.mps.recommended_max_memory() / 1e9:.0f} GB for it"
    if shutil.which("nvidia-smi"):
        raise Note(
            f"there is an NVIDIA driver, but torch {torch.__version__} sees no GPU; install the "
            "torch that fits the driver (https://pytorch.org), or give the container the GPU."
        )
    return "none: the CPU does it, which is enough for the bundled model"


def disk(settings: Settings) -> str:
    """There is room for a run."""
    for folder in (settings.home, settings.images_dir):
        _try_to_write(folder)
    free = shutil.disk_usage(settings.home).free / 1e9
    if free < LEAST_FREE_GIGABYTES:
        raise SettingsInvalid(
            f"only {free:.1f} GB are free in {settings.home}; free at least "
            f"{LEAST_FREE_GIGABYTES:.0f} GB, or set HERO_HOME to another disk."
        )
    return f"{free:.0f} GB free in {settings.home}"


def _try_to_write(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / ".doctor"
        trial.write_text("")
        trial.unlink()
    except OSError as error:
        raise SettingsInvalid(
            f"{folder} cannot be written ({error.strerror}); correct its owner or mode, or set "
            "HERO_HOME to another folder."
        ) from error


def database(settings: Settings) -> str:
    """The database answers, and its tables are up to date (opening it brings them there)."""
    store = Store.open(settings)
    try:
        count = len(store.runs())
    finally:
        store.close()
    kind = settings.sqlalchemy_url.partition(":")[0].partition("+")[0]
    return f"{kind}, migration {migrations.HEAD}, {count} run{'s' * (count != 1)}"
