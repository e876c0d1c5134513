"""Tensors whose rows belong together: taken, and put one after the other, as one."""

from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar, TypeVar

import torch

Kind = TypeVar("Kind", bound="Rows")


class Rows:
    """A dataclass of tensors with the same first dimension."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def __getitem__(self: Kind, rows: Any) -> Kind:
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def to(self: Kind, device: torch.device) -> Kind:
        """The same on a device."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))

    @classmethod
    def concatenate(cls: type[Kind], parts: Sequence[Kind]) -> Kind:
        """Several one after the other."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
