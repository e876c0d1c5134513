"""What the run has learned: a LoRA for diffusers and the programs that people draw with."""

from pathlib import Path

from safetensors import safe_open

from backend import engine
from backend.exports.source import Source


def write(source: Source, format: str, path: Path) -> None:
    """Write the LoRA after the run's last epoch."""
    if source.run.epoch == 0:
        raise source.nothing("it has not learned from any epoch yet", "label the first one")
    engine.export_lora(source.settings, source.run, path, source.labels)


def how_to_use(path: Path) -> str:
    """Where other programs look for the file, and at which strength it is what was trained."""
    lines = [
        f"diffusers: pipe.load_lora_weights({str(path)!r})",
        "ComfyUI: put it into models/loras, Load LoRA, strength_model 1",
    ]
    with safe_open(path, framework="numpy") as file:
        kohya = any(name.startswith("lora_unet_") for name in file.keys())  # noqa: SIM118
    if kohya:
        lines.append(
            f"AUTOMATIC1111, Forge: put it into models/Lora, <lora:{path.stem}:1> in the prompt"
        )
    return "\n".join(lines)
