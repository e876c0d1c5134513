"""Several processes as one: which parts of the work are whose, and how they come together.

The only file that knows of several processes. With one, nothing here changes anything. With more
(`accelerate launch`, `torchrun`), every process runs the same program on the same seeds, does its
own parts, and ends with the same numbers: parts are whole forward batches, so that each is computed
in the same shape whoever has it, and sums are made in the parts' order.
"""

import contextlib
import io
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import accelerate
import torch
from torch import Tensor
from torch import distributed as dist

from hero_engine.errors import (
    ConfigError,
    HeroError,
    ProcessesDiffer,
    ProcessLost,
    ProcessUnready,
)

Part = TypeVar("Part")
Result = TypeVar("Result")

_works_alone = False


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


def leave() -> None:
    """End the group that `device` has joined; the others do the same."""
    accelerate.PartialState().destroy_process_group()


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
    if _works_alone or not (dist.is_available() and dist.is_initialized()):
        return 1
    return dist.get_world_size()


def rank() -> int:
    """The number of this one."""
    return dist.get_rank() if world_size() > 1 else 0


def alone() -> contextlib.AbstractContextManager[None]:
    """In the block, this process works as if it were the only one."""
    return _working(alone=True)


def together() -> contextlib.AbstractContextManager[None]:
    """In the block, which is in one of `alone`, all of them work on the same again."""
    return _working(alone=False)


@contextlib.contextmanager
def _working(alone: bool) -> Iterator[None]:
    global _works_alone
    before, _works_alone = _works_alone, alone
    try:
        yield
    finally:
        _works_alone = before


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
        with torch.no_grad(), _with_the_others():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


def decided(decide: Callable[[], Result]) -> Result:
    """What `decide()` says in the first process, known to all."""
    if world_size() == 1:
        return decide()
    said = [decide() if rank() == 0 else None]
    with _with_the_others():
        dist.broadcast_object_list(said, src=0)
    return said[0]  # type: ignore[return-value]  # the first process's


def by_first(work: Callable[[], None]) -> None:
    """`work()` by the first process alone; the others wait, and fail with its `HeroError`."""
    if world_size() == 1:
        return work()

    def attempt() -> HeroError | None:
        try:
            work()
        except HeroError as error:
            return error
        return None

    if (trouble := decided(attempt)) is not None:
        raise trouble


def all_ready(look: Callable[[], None]) -> None:
    """`look()` by every process, before any of them waits for another.

    Raises its error if all processes have one, and `ProcessUnready` if some have.
    """
    said = None
    try:
        look()
    except HeroError as error:
        said = error
    everyones = _everyones((socket.gethostname(), said))
    if said is not None and all(trouble is not None for _, trouble in everyones):
        raise said
    for number, (host, trouble) in enumerate(everyones):
        if trouble is not None:
            raise ProcessUnready(
                f"Process {number} of {len(everyones)}, on {host}, cannot take part in this step: "
                f"{trouble}"
            )


def check_same(what: str, of_this: Callable[[], str]) -> None:
    """Raise `ProcessesDiffer` unless every process has the same."""
    if world_size() == 1:
        return
    everyones = _everyones(of_this())
    for number, theirs in enumerate(everyones):
        if theirs != everyones[0]:
            raise ProcessesDiffer(
                f"{what} of process {number} of {len(everyones)} is not that of the first, so "
                "nothing was kept; see that all have the same GPUs and packages, or use one "
                "process."
            )


def _gathered(own: dict[int, Result]) -> list[Result]:
    if world_size() == 1:
        return list(own.values())
    every: dict[int, Result] = {}
    for theirs in _everyones(_packed(own)):
        every |= _unpacked(theirs)
    return [every[number] for number in sorted(every)]


def _everyones(own: Result) -> list[Result]:
    """What every process gives, in their order."""
    if world_size() == 1:
        return [own]
    everyones = [own] * world_size()
    with _with_the_others():
        dist.all_gather_object(everyones, own)
    return everyones


@contextlib.contextmanager
def _with_the_others() -> Iterator[None]:
    """What gloo and NCCL raise where another process has ended is `ProcessLost`."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ProcessLost(
            f"Another process of this step has ended or cannot be reached ({said.rstrip('.')}); "
            "nothing was kept."
        ) from error


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
