"""Images drawn with a run's model, in its exports folder: `hero generate`."""

from itertools import chain, count
from pathlib import Path
from typing import Literal

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from backend import engine
from backend.errors import BadInput
from backend.settings import Settings
from backend.show import pictures
from backend.store import Run


def draw(
    settings: Settings,
    run: Run,
    n: int,
    *,
    prompt: str | None,
    noise: Literal["bank", "normal"],
    scheduler: str | None,
    seed: int,
    folder: Path | None,
    console: Console,
) -> Path:
    """Draws n images with the model as it stands, each written as it is decoded, and their grid.

    Args:
        prompt: None for the run's own; of several, for all of them, each in a folder of its own.
        noise: see `hero_engine.Hero.sample`.
        scheduler: None for the run's own DDIM.
        seed: the same seed gives the same images.
        folder: None for a new one in the run's exports.
        console: where the progress is shown.

    Returns:
        The folder, with 0000.png ... and grid.png; in a run of several prompts, with prompt-1,
        prompt-2, ... that have them.

    Raises:
        BadInput: the folder holds images already.
    """
    if folder is None:
        name = f"samples-epoch-{run.epoch}-{noise}-{scheduler or 'ddim'}-seed-{seed}"
        folder = _unused(settings.run_dir(run.id) / "exports" / name.replace(" ", "-"))
    elif _holds_images(folder):
        raise BadInput(
            f"Cannot draw into {folder}: it holds images already, which would be replaced or mixed "
            "with others; name another folder."
        )
    prompts = [prompt] if prompt else run.prompts
    for number, each in enumerate(prompts, start=1):
        inside = folder if len(prompts) == 1 else folder / f"prompt-{number}"
        _draw_one(settings, run, n, each, noise, scheduler, seed, inside, console)
    return folder


def _draw_one(
    settings: Settings,
    run: Run,
    n: int,
    prompt: str,
    noise: Literal["bank", "normal"],
    scheduler: str | None,
    seed: int,
    folder: Path,
    console: Console,
) -> None:
    """Images of one prompt, and their grid."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("loading the model", total=n)

        def written(index: int, image: Image.Image) -> None:
            image.save(folder / f"{index:04d}.png")
            progress.update(task, completed=index + 1, description="drawing")

        samples = engine.sample(
            settings,
            run,
            n,
            prompt=prompt,
            noise=noise,
            scheduler=scheduler,
            seed=seed,
            on_image=written,
        )
    pictures.contact_sheet(samples.images, folder / "grid.png", title=prompt)


def _unused(folder: Path) -> Path:
    """The folder, or the first one after it, by number, that holds no images."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(each for each in chain([folder], numbered) if not _holds_images(each))


def _holds_images(folder: Path) -> bool:
    return any(folder.glob("*.png")) or any(folder.glob("prompt-*/*.png"))
