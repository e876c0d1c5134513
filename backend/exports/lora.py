"""What the run has learned: a LoRA for diffusers, ComfyUI and AUTOMATIC1111/Forge."""

from pathlib import Path

from backend import engine
from backend.exports.source import Source


def write(source: Source, format: str, path: Path) -> None:
    """Write the LoRA after the run's last epoch."""
    if source.run.epoch == 0:
        raise source.nothing("it has not learned from any epoch yet", "label the first one")
    engine.export_lora(source.settings, source.run, path, source.labels)


def how_to_use(path: Path) -> str:
    """Where other programs look for the file, and at which strength it is what was trained."""
    name = path.stem
    return (
        f"diffusers: pipe.load_lora_weights({str(path)!r})\n"
        "ComfyUI: put it into models/loras, Load LoRA, strength_model 1\n"
        f"AUTOMATIC1111, Forge: put it into models/Lora, <lora:{name}:1> in the prompt"
    )
