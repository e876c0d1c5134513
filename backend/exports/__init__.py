"""What can be taken out of a run, and as what: `hero export`.

One module a kind, each with `write(source, format, path)`; `formats.py` writes tables, `target.py`
decides where an export goes and what may be replaced there. `hub_push.py` sends one to the model
hub. `drawing.py` is `hero generate`.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path

from backend.errors import BadInput, LabelStudioError, SettingsInvalid
from backend.exports.source import Source
from backend.exports.target import place, whole
from backend.settings import Settings
from backend.store import Run, Store

TABLE = ("csv", "json", "jsonl", "parquet", "hf")


@dataclass(frozen=True)
class Kind:
    """One kind of export."""

    says: str
    formats: tuple[str, ...]
    """What it can be written as; the first is the default."""
    folder: tuple[str, ...] = ("hf",)
    """Those of its formats that are a folder instead of one file."""
    fetched: bool = False
    """It holds what people said until now, so Label Studio is asked once more."""


KINDS = {
    "annotations": Kind("every vote, including skipped, late and deleted ones", TABLE,
                        fetched=True),
    "verdicts": Kind("every judged image, with votes, verdict and reward", TABLE),
    "preferences": Kind("pairs of a chosen and a rejected image, in Pick-a-Pic's columns",
                        ("parquet", "hf", "csv", "json", "jsonl")),
    "comparisons": Kind("the blind comparisons: every pair, with the votes on it", TABLE,
                        fetched=True),
    "agreement": Kind("how much the annotators agree, with figures for each", ("json", "csv"),
                      fetched=True),
    "images": Kind("the images, with their verdicts in metadata.jsonl", ("hf",)),
    "lora": Kind("the LoRA, for diffusers, ComfyUI and others", ("safetensors", "hf")),
    "noise": Kind("the noise bank, to draw more images like the good ones", ("safetensors",),
                  folder=("safetensors",)),
    "report": Kind("the whole run as one page that needs no network", ("html",),
                   fetched=True),
}  # fmt: skip


def export(
    settings: Settings,
    store: Store,
    run: Run,
    what: str,
    format: str | None = None,
    out: Path | None = None,
    *,
    force: bool = False,
    repository: str | None = None,
) -> Path:
    """Write one kind of export of a run, whole or not at all.

    Args:
        what: one of `KINDS`.
        format: one of its formats; by default the one that `out` ends in, or the kind's first.
        out: the file or folder to write; a file may be named by an existing folder to put it
            into. By default one in the run's exports that says run, kind and format.
        force: replace an earlier export of that name.
        repository: OWNER/NAME on the model hub that the export goes to.

    Returns:
        What was written.

    Raises:
        BadInput: there is no such kind or format, or nothing to export yet; the target exists, or
            cannot be written.
        DiskFull, EngineFailed
    """
    format = choose_format(what, format, out)
    kind = KINDS[what]
    target = place(settings, run, what, format, out, folder=format in kind.folder)
    with whole(target, force=force) as partial:
        module = importlib.import_module(f"backend.exports.{what}")
        module.write(Source(settings, store, run, repository), format, partial)
    return target


def fetch(settings: Settings, store: Store, run: Run) -> str | None:
    """Bring the annotations of all epochs, and the votes of all comparisons, up to date; why not,
    if Label Studio cannot be asked."""
    from backend.comparing.collect import fetch_votes
    from backend.label_studio import Gateway
    from backend.labels import collect

    published = {image.epoch for image in store.images(run.id) if image.task_id is not None}
    try:
        gateway = Gateway(settings)
        collect.reconcile(store, gateway, run, published)
        for comparison in store.comparisons(run.id):
            fetch_votes(store, gateway, comparison)
    except (LabelStudioError, SettingsInvalid) as error:
        return str(error)
    return None


def find_kind(what: str) -> Kind:
    """A kind by its name.

    Raises:
        BadInput: there is none; names those there are.
    """
    if what not in KINDS:
        raise BadInput(f"Cannot export {what!r}: say --what and one of {', '.join(KINDS)}.")
    return KINDS[what]


def choose_format(what: str, format: str | None, out: Path | None) -> str:
    """The format that was said, or that the target's name ends in, or the kind's first.

    Raises:
        BadInput: the kind has no such format; names those it has.
    """
    formats = find_kind(what).formats
    if format is None:
        ending = out.suffix.removeprefix(".").lower() if out is not None else ""
        return ending if ending in formats else formats[0]
    if format in formats:
        return format
    others = [name for name, kind in KINDS.items() if format in kind.formats]
    elsewhere = f"; {format} is possible for {', '.join(others)}" if others else ""
    raise BadInput(
        f"Cannot export the {what} as {format!r}: say --format and one of "
        f"{', '.join(formats)}{elsewhere}."
    )
