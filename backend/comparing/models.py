"""Which model a run's is compared with: what a person typed."""

from backend.engine import image_size
from backend.errors import BadInput, RunNotFound
from backend.run.comparison import ComparedModel
from backend.run.records import Run
from backend.store import Store

BASE = "base"
"""Stands for the pretrained model, where a person names one."""


def parse_model(store: Store, run: Run, said: str) -> ComparedModel:
    """The model to compare a run's with: `base`, a run, or RUN:EPOCH.

    Args:
        said: of RUN:EPOCH the epoch counts from 1, as people see it; `:EPOCH` is of this run.

    Raises:
        BadInput: there is no such model, or it cannot be compared; says which can.
    """
    if said == BASE:
        check_comparable(run, run, None)
        return ComparedModel(run.id, None)
    name, separator, number = said.partition(":")
    try:
        other = store.run(name) if name else run
    except RunNotFound as error:
        raise BadInput(
            f"Cannot compare with {said!r}: it is no run; say {BASE}, RUN or RUN:EPOCH."
        ) from error
    epoch = other.epoch
    if separator:
        if not number.isdecimal() or not 1 <= int(number) <= other.epoch:
            raise BadInput(
                f"Cannot compare with {said!r}: the run {other.id} has learned from "
                f"{_counted(other.epoch)}; say {other.id}:1 to {other.id}:{other.epoch}."
                if other.epoch
                else f"Cannot compare with {said!r}: the run {other.id} has not learned yet."
            )
        epoch = int(number)
    check_comparable(run, other, epoch)
    return ComparedModel(other.id, epoch)


def check_comparable(run: Run, other: Run, epoch: int | None) -> None:
    """See that two models differ and can draw the same noises.

    Raises:
        BadInput
    """
    if run.epoch == 0:
        raise BadInput(
            f"Cannot compare the run {run.id}: it has not learned from any epoch yet; label the "
            "first one."
        )
    if (other.id, epoch) == (run.id, run.epoch):
        raise BadInput(
            f"Cannot compare the run {run.id} with itself; say {BASE}, another run, or one of its "
            f"earlier epochs, such as {run.id}:1."
        )
    ours, theirs = (each.config.get("model") for each in (run, other))
    same_size = image_size(run.config) == image_size(other.config)
    if ours != theirs or not same_size:
        raise BadInput(
            f"Cannot compare {run.id} with {other.id}: their base models or image sizes differ "
            f"({ours}, {theirs}), so they cannot draw the same noises."
        )


def _counted(epochs: int) -> str:
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"
