"""Several processes as one: which parts of the work are whose, and how they come together.

The only file that knows of several processes. With one, nothing here changes anything. With more
(`accelerate launch`, `torchrun`), every process runs the same program on the same seeds, does its
own parts, and ends with the same numbers: parts are whole forward batches, so that each is computed
in the same shape whoever has it, and sums are made in the parts' order.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import accelerate
import torch
from torch import Tensor
from torch import distributed as dist

Part = TypeVar("Part")
Result = TypeVar("Result")


def device() -> torch.device:
    """The one that accelerate gives this process."""
    return accelerate.PartialState().device


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


def _gathered(own: dict[int, Result]) -> list[Result]:
    if world_size() == 1:
        return list(own.values())
    everyones: list[dict[int, Result]] = [{} for _ in range(world_size())]
    dist.all_gather_object(everyones, own)
    every = {number: result for theirs in everyones for number, result in theirs.items()}
    return [every[number] for number in sorted(every)]
