"""Which model figures were measured on: rows of one are not to stand beside rows of another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from safetensors.numpy import load_file
from transformers import CLIPTokenizer

from hero_engine.config import RunConfig
from hero_engine.models.names import resolve
from tinyworld.bundled import JUDGE, PIPELINE

CHUNK = 1 << 20


def fingerprint(*places: Path, without: Path | None = None) -> str:
    """16 digits that change with any file of the places (files, or folders with all they hold) but
    one."""
    found = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and path != without:
                name = path.relative_to(place).as_posix() if place.is_dir() else path.name
                found.update(f"{name}\0{path.stat().st_size}\0".encode())
                with path.open("rb") as file:
                    while part := file.read(CHUNK):
                        found.update(part)
    return found.hexdigest()[:16]


def tiny(*prompts: str) -> str:
    """Of what decides figures that were measured on these prompts: the bundled model and its judge,
    who says what a success is. Embeddings of words that no prompt has decide nothing; with no
    prompts given, all count.
    """
    text_encoder = PIPELINE / "text_encoder" / "model.safetensors"
    if not prompts:
        return fingerprint(PIPELINE, JUDGE)
    found = hashlib.sha256(fingerprint(PIPELINE, JUDGE, without=text_encoder).encode())
    used = _tokens(["", *prompts])
    for name, tensor in sorted(load_file(text_encoder).items()):
        rows = tensor[used] if name.endswith("token_embedding.weight") else tensor
        found.update(name.encode() + rows.tobytes())
    return found.hexdigest()[:16]


def of_model(name: str, *prompts: str) -> str:
    """As `tiny`; of a bundled model of another name all of its files decide."""
    return tiny(*prompts) if name == "tiny" else fingerprint(Path(resolve(name)), JUDGE)


def drawn_with(config: RunConfig) -> list[str]:
    """Every prompt that a run reads."""
    fields = ("prompt", "negative_prompt", "enhanced_prompt", "instance_prompt", "class_prompt")
    settings = config.flat()
    return [settings[field] for field in fields if field in settings]


def _tokens(prompts: Sequence[str]) -> list[int]:
    tokenizer = CLIPTokenizer.from_pretrained(PIPELINE / "tokenizer")
    return sorted({token for prompt in prompts for token in tokenizer(prompt).input_ids})
