"""What the run has learned: a LoRA for diffusers and the programs that people draw with."""

from pathlib import Path

from PIL import Image

from backend import engine
from backend.dashboard.facts import Samples, read_run
from backend.exports.base_model import describe_base
from backend.exports.lora_usage import code, programs
from backend.exports.model_card import Usage, model_card
from backend.exports.source import Source
from backend.exports.target import CARD, file_name
from backend.show import pictures

PICTURES = ("before.png", "after.png")
"""The same noises drawn by the base model and by the fine-tuned one."""


def write(source: Source, format: str, path: Path) -> None:
    """Write the LoRA after the run's last epoch; as hf with a model card beside it."""
    if source.run.epoch == 0:
        raise source.nothing("it has not learned from any epoch yet", "label the first one")
    if format != "hf":
        engine.export_lora(source.settings, source.run, path, source.labels)
        return
    lora = path / file_name(source.run, "lora", "safetensors")
    engine.export_lora(source.settings, source.run, lora, source.labels)
    _write_card(source, lora)


def _write_card(source: Source, lora: Path) -> None:
    config = engine.read_config(source.run.config)
    fields = config.flat()
    base = describe_base(fields, online=source.repository is not None)
    facts = read_run(source.settings, source.store, source.run.id)
    drawn = _before_and_after(facts.samples, source.run.epoch)
    for name, row in zip(PICTURES, drawn, strict=False):
        images = [Image.open(file) for file in row.files]
        pictures.contact_sheet(images, lora.parent / name, columns=len(images))
    use = engine.plain_use(config)
    used = code(fields, use, base.loaded_from, lora.name, source.repository or ".")
    card = model_card(
        facts,
        base,
        Usage(used, tuple(programs(lora))),
        engine.methods()[fields["method"]],
        PICTURES if drawn else None,
    )
    (lora.parent / CARD).write_text(card, encoding="utf-8")


def _before_and_after(samples: tuple[Samples, ...], epochs: int) -> list[Samples]:
    """The rows of the pretrained model and of the model as it stands; none if one is missing."""
    rows = [row for row in samples if row.epochs in (0, epochs)]
    return rows if len(rows) == 2 else []
