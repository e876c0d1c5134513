"""What a model card says of the base model: its name, where it is, its licence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend import engine

_LICENCE = ("license", "license_name", "license_link")
"""The keys of a model card's metadata that say the licence."""


@dataclass(frozen=True)
class BaseModel:
    """A base model as others may read of it."""

    name: str
    """Its id on the hub, or the last part of its place on this machine."""
    on_hub: bool
    """Whether it is fetched from the hub."""
    licence: Mapping[str, str] = field(default_factory=dict)
    """`license`, `license_name` and `license_link` as its own model card has them; empty if it has
    no card, or says none."""

    @property
    def loaded_from(self) -> str:
        """What Python code loads it from; a placeholder for a place on this machine."""
        return self.name if self.on_hub else f"/path/to/{self.name}"

    @property
    def url(self) -> str:
        """Its page on the hub."""
        return f"https://huggingface.co/{self.name}"

    @property
    def licence_text(self) -> str:
        """The licence's name, as a link where there is one; empty if it is not known."""
        name = self.licence.get("license_name") or self.licence.get("license", "")
        link = self.licence.get("license_link")
        return f"[{name}]({link})" if link else name


def describe_base(config: Mapping[str, Any], *, online: bool) -> BaseModel:
    """A run's base model.

    Args:
        config: the run's settings by name.
        online: whether the hub may be asked for its card; else only files of this machine.
    """
    model = str(config["model"])
    name = engine.public_name(model)
    on_hub = name == model and "/" in model and not engine.is_bundled(model)
    base = BaseModel(name, on_hub)
    card = _hub_card(model, config.get("revision"), online) if on_hub else Path(model, "README.md")
    if card is None or not card.is_file():
        return base
    return BaseModel(name, on_hub, _licence(card, base))


def _hub_card(model: str, revision: str | None, online: bool) -> Path | None:
    from huggingface_hub import hf_hub_download

    try:
        with engine.quiet_hub():
            return Path(
                hf_hub_download(model, "README.md", revision=revision, local_files_only=not online)
            )
    except Exception:  # a card that cannot be had is none
        return None


def _licence(card: Path, base: BaseModel) -> dict[str, str]:
    from huggingface_hub.repocard import metadata_load

    try:
        said = metadata_load(card) or {}
    except Exception:  # of whatever parses it: others wrote it
        return {}
    licence = {key: str(said[key]) for key in _LICENCE if isinstance(said.get(key), str)}
    link = licence.get("license_link")
    if link and "://" not in link:
        if base.on_hub:
            licence["license_link"] = f"{base.url}/blob/main/{link}"
        else:
            del licence["license_link"]
    return licence
