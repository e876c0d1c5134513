"""How large a model is, by the headers of its files: nothing is loaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hero_engine.models.files import ModelFiles
from hero_engine.models.weights import SAFETENSORS, header

NETWORK, VAE, ENCODERS = "network", "vae", "encoders"
_OTHER: Final = "other"
_BYTES: Mapping[str, int] = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
"""Of safetensors' kinds of numbers; others are no weights."""
_IN_SINGLE_FILES = {
    "model.diffusion_model.": NETWORK,
    "first_stage_model.": VAE,
    "cond_stage_model.": ENCODERS,
    "conditioner.": ENCODERS,
}


@dataclass(frozen=True)
class PartSize:
    """The weights of a part of a model."""

    parameters: int
    kind: str
    """What most of them are stored as, by safetensors' names: F32, F16, BF16."""


@dataclass(frozen=True)
class ModelSize:
    """The weights of a model: the denoising network's, the VAE's, all text encoders'."""

    network: PartSize
    vae: PartSize
    encoders: PartSize

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.network.parameters + self.vae.parameters + self.encoders.parameters


def model_size(files: ModelFiles, network_name: str, left_out: tuple[str, ...]) -> ModelSize | None:
    """The size of a model that is on this machine; None if it has yet to be downloaded.

    Raises `ModelNotFound` if a file is damaged.
    """
    if files.single is None and files.to_download(left_out):
        return None
    found: dict[str, dict[str, int]] = {NETWORK: {}, VAE: {}, ENCODERS: {}}
    for role, kind, parameters in _weights(files, network_name, left_out):
        if role in found:
            found[role][kind] = found[role].get(kind, 0) + parameters
    return ModelSize(**{role: _part(kinds) for role, kinds in found.items()})


def _part(kinds: Mapping[str, int]) -> PartSize:
    return PartSize(sum(kinds.values()), max(kinds, key=lambda kind: kinds[kind], default="F32"))


def _weights(
    files: ModelFiles, network_name: str, left_out: tuple[str, ...]
) -> Iterator[tuple[str, str, int]]:
    """(role, kind of number, parameters) of tensors or of whole files."""
    if files.single is not None:
        for key, kind, parameters in _in_file(files.single):
            role = next((r for p, r in _IN_SINGLE_FILES.items() if key.startswith(p)), _OTHER)
            yield role, kind, parameters
        return
    roles = {network_name: NETWORK, "vae": VAE}
    for part in files.networks(left_out):
        weights = files.weights(part)
        for name in weights.files if weights is not None else ():
            for _, kind, parameters in _in_file(files.folder / part / name):
                yield roles.get(part, ENCODERS), kind, parameters


def _in_file(path: Path) -> Iterator[tuple[str, str, int]]:
    """(key, kind of number, how many) of a file's tensors; a pickled file as one of float32."""
    if path.suffix != SAFETENSORS:
        yield path.name, "F32", path.stat().st_size // _BYTES["F32"]
        return
    for key, said in header(path).items():
        each: Any = said
        if key != "__metadata__" and each["dtype"] in _BYTES:
            begin, end = each["data_offsets"]
            yield key, each["dtype"], (end - begin) // _BYTES[each["dtype"]]
