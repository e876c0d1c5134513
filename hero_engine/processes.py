"""Several processes as one: which parts of the work are whose, and how they come together.

The only file that knows of several processes. With one, nothing here changes anything. With more
(`accelerate launch`, `torchrun`), every process runs the same program on the same seeds, does its
own parts, and ends with the same numbers: parts are whole forward batches, so that each is computed
in the same shape whoever has it, and sums are made in the parts' order.
"""

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import accelerate
import torch
from torch import Tensor
from torch import distributed as dist

from hero_engine.errors import ConfigError, HeroError

Part = TypeVar("Part")
Result = TypeVar("Result")


def device() -> torch.device:
    """The one that accelerate gives this process, which joins those that were launched with it.

    Raises `ConfigError` where there should be several and they do not come together.
    """
    launched = os.environ.get("WORLD_SIZE", "1")
    if launched == "1":
        with _no_group_of_one():
            return accelerate.PartialState().device
    try:
        return accelerate.PartialState().device
    except (ValueError, RuntimeError) as error:
        accelerate.PartialState._reset_state()
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"The environment says that this is one of {launched} processes (WORLD_SIZE), but they "
            f"did not come together ({said[0].rstrip('.')}); start them with `accelerate launch` "
            "or `torchrun`, or unset RANK, LOCAL_RANK and WORLD_SIZE."
        ) from error


@contextlib.contextmanager
def _no_group_of_one() -> Iterator[None]:
    """Without LOCAL_RANK, which some clusters set in every container: accelerate would take it for
    a launcher's, and wait for an address that nobody gave."""
    rank = os.environ.pop("LOCAL_RANK", None)
    try:
        yield
    finally:
        if rank is not None:
            os.environ["LOCAL_RANK"] = rank


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this one."""
    return dist.get_rank() if world_size() > 1 else 0


def shared(parts: Sequence[Part], work: Callable[[int, Part], Result]) -> list[Result]:
    """`work(number, part)` of every part, each done by one process and known to all, in order."""
    own = {
        number: work(number, part)
        for number, part in enumerate(parts)
        if number % world_size() == rank()
    }
    return _gathered(own)


def shared_gradients(
    parameters: Sequence[torch.nn.Parameter],
    parts: Sequence[Part],
    backward: Callable[[Part], Result],
) -> list[Result]:
    """`backward(part)` of every part, which adds to the parameters' gradients; all processes end
    with the sum over all parts, added up in their order."""
    if world_size() == 1:
        return [backward(part) for part in parts]

    def work(_: int, part: Part) -> tuple[Result, list[Tensor | None]]:
        for parameter in parameters:
            parameter.grad = None
        result = backward(part)
        return result, [None if p.grad is None else p.grad.clone() for p in parameters]

    before = [None if p.grad is None else p.grad.clone() for p in parameters]
    done = shared(parts, work)
    for number, parameter in enumerate(parameters):
        parameter.grad = before[number]
        for _, gradients in done:
            gradient = gradients[number]
            if gradient is None:
                continue
            gradient = gradient.to(parameter.device)
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
    return [result for result, _ in done]


def from_first(tensors: Sequence[Tensor]) -> None:
    """Give every process the first one's tensors, in place."""
    if world_size() > 1:
        with torch.no_grad():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


def by_first(work: Callable[[], None]) -> None:
    """`work()` by the first process alone; the others wait, and fail with its `HeroError`."""
    if world_size() == 1:
        return work()
    said: list[HeroError | None] = [None]
    if rank() == 0:
        try:
            work()
        except HeroError as error:
            said = [error]
    dist.broadcast_object_list(said, src=0)
    if said[0] is not None:
        raise said[0]


def _gathered(own: dict[int, Result]) -> list[Result]:
    if world_size() == 1:
        return list(own.values())
    everyones = [b""] * world_size()
    dist.all_gather_object(everyones, _packed(own))
    every: dict[int, Result] = {}
    for theirs in everyones:
        every |= _unpacked(theirs)
    return [every[number] for number in sorted(every)]


def _packed(results: dict[int, Result]) -> bytes:
    file = io.BytesIO()
    torch.save(results, file)
    return file.getvalue()


def _unpacked(packed: bytes) -> dict[int, Result]:
    """What `_packed` took, with tensors of another process's GPU on this one's."""
    here = device()
    places = {f"{here.type}:{number}": str(here) for number in range(world_size())}
    # Nothing but processes of one run pack what this unpacks.
    results: dict[int, Result] = torch.load(  # nosec B614
        io.BytesIO(packed), map_location=places, weights_only=False
    )
    return results
