"""Configurations and checkpoints of format 1, which had the settings of all methods in one class.

Commit 9425af8 was the last to write it. Its runs go on: with what this version still has of their
settings, and with their own random numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, TypeVar

T = TypeVar("T")

BUNDLED = ("tinyworld", "pipeline")
"""How the path of the bundled model ended, which was written into every configuration."""


@dataclass(frozen=True)
class Removed:
    """A setting that this version has no more."""

    kept: Any
    """The value that says what is done now."""
    why: str
    methods: tuple[str, ...] = ("hero+",)
    """Those whose runs it changed."""


_DID_NOT_PAY = "it did not pay (docs/research.md)"
REMOVED = {
    "denoising_weights": Removed("rarity", "hero+ always draws good images by their rarity"),
    "denoising_space": Removed("latents", "hero+ always measures rarity on clean latents"),
    "denoising_replay": Removed(True, "hero+ always learns from the good images of all epochs"),
    "snr_weighting": Removed("snr+1", "hero+ always weighs errors as those of v"),
    "snr_gamma": Removed(None, "hero+ always weighs errors as those of v"),
    "max_denoising_change": Removed(0, _DID_NOT_PAY),
    "denoising_guided": Removed(False, _DID_NOT_PAY),
    "denoising_anew": Removed(False, _DID_NOT_PAY),
    "negative_share": Removed(0, _DID_NOT_PAY),
    "nft_beta": Removed(1, _DID_NOT_PAY),
    "unconditional_weight": Removed(0, _DID_NOT_PAY),
    "embedding_replay": Removed(False, _DID_NOT_PAY),
    "embedding_ensemble": Removed(1, _DID_NOT_PAY, ("hero", "hero+")),
    "disagreement_weight": Removed(0, _DID_NOT_PAY, ("hero", "hero+")),
    "lora_ema_decay": Removed(0, _DID_NOT_PAY, ("hero", "hero+", "d3po", "ddpo", "dreambooth")),
}
"""By name. docs/research-log.md has what they did, measured at 9425af8."""
HERO_PLUS_ALONE = {
    "inner_epochs": Removed(0, "hero+ makes no policy gradient any more"),
    "reward": Removed("best", "hero+ does not learn from rewards"),
}
"""Settings that hero+ has no more, and other methods still have."""
_HERO_PLUS_DEFAULTS = {
    "inner_epochs": 1,
    "fresh_share": 0.0,
    "denoising_steps": 20,
    "denoising_lr": 3e-4,
    "denoising_repeats": 0,
    "denoising_full_share": 0.0,
    "denoising_weights": "uniform",
    "denoising_space": "embedding",
    "first_step_share": 0.0,
    "snr_weighting": "min-snr",
    "pretrained_weight": 0.0,
    "step_back_drop": 0.0,
}
"""What hero+ was set to where nothing was said, also before there was such a setting."""

_BATCH_SIZES = {"sample_batch_size": 8, "forward_batch_size": 2}
"""The same, of every method: there was no `auto` then."""


_NEW = {"hero+": {"held_share": 0.0, "keep_best": False, "until": "never", "keep": "none"}}
"""What runs of a method did before there was such a setting."""


def as_before(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration with the settings that its version did not know, at what it did."""
    return {**_NEW.get(str(stored.get("method", "hero")), {}), **stored}


def still_does(method: str, name: str, value: Any) -> bool:
    """Whether a removed setting asks for what is done anyway, so that it need not be refused."""
    removed = _removed_of(method).get(name)
    return removed is not None and (removed.kept is None or _equal(value, removed.kept))


def migrated(
    stored: Mapping[str, Any], known: Iterable[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A configuration of format 1 in the flat form of format 2, and what was lost on the way.

    `known` are the settings of the run's method. All others were written too, and ignored.
    """
    method = str(stored.get("method", "hero"))
    stored = {**_BATCH_SIZES, **stored}
    if method == "hero+":
        stored = {**_HERO_PLUS_DEFAULTS, **stored}
    fields = {name: value for name, value in stored.items() if name in known}
    fields["format"] = 1
    if "model" in stored:
        fields["model"] = _named(str(stored["model"]))
    dropped = {
        name: stored[name]
        for name, removed in _removed_of(method).items()
        if name in stored
        and method in removed.methods
        and not still_does(method, name, stored[name])
    }
    return fields, dropped


def migrated_files(method: str, files: Mapping[str, T]) -> dict[str, T]:
    """A checkpoint's files of format 1 under the names of format 2.

    hero+ had a second optimizer, for its denoising steps; it is the only one now.
    """
    if method != "hero+":
        return dict(files)
    second = "denoising_optimizer"
    kept = {name: file for name, file in files.items() if second not in name}
    renamed = {
        name.replace(second, "optimizer"): file for name, file in files.items() if second in name
    }
    return {**kept, **renamed}


def _removed_of(method: str) -> dict[str, Removed]:
    return {**REMOVED, **HERO_PLUS_ALONE} if method == "hero+" else REMOVED


def _named(model: str) -> str:
    """The bundled model by its name, if its path on another machine was written."""
    gone = not Path(model).exists()
    return "tiny" if gone and PurePath(model).parts[-2:] == BUNDLED else model


def _equal(value: Any, kept: Any) -> bool:
    if isinstance(kept, bool):
        return str(value).lower() in ({"true", "1"} if kept else {"false", "0"})
    if isinstance(kept, int):
        try:
            return float(value) == kept
        except (TypeError, ValueError):
            return False
    return value == kept
