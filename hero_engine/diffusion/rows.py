"""Tensors whose rows belong together: taken, and put one after the other, as one."""

from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

Kind = TypeVar("Kind", bound="Rows")


class Rows:
    """A dataclass of tensors with the same first dimension. A column that has nothing to say may be
    None."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def __getitem__(self: Kind, rows: Any) -> Kind:
        return self._with_each(lambda column: column[rows])

    def to(self: Kind, device: torch.device) -> Kind:
        """The same on a device."""
        return self._with_each(lambda column: column.to(device))

    def _with_each(self: Kind, change: Callable[[Tensor], Tensor]) -> Kind:
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(
            **{name: None if each is None else change(each) for name, each in columns.items()}
        )

    @classmethod
    def concatenate(cls: type[Kind], parts: Sequence[Kind]) -> Kind:
        """Several one after the other."""
        columns = {
            field.name: [getattr(part, field.name) for part in parts] for field in fields(cls)
        }
        return cls(
            **{name: None if each[0] is None else torch.cat(each) for name, each in columns.items()}
        )
