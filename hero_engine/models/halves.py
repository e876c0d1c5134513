"""A batch that goes through a small network in two halves, side by side on a CPU's cores.

Most operations of a small network are over too soon to be shared between cores, so that one core
does nearly all. Two threads that each take half of the batch through the whole network share it,
forward and backward; torch leaves Python to the other thread while it computes.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hero_engine.diffusion.kernel import Denoiser

LARGEST = 100_000_000
"""Weights of the largest network that is taken in halves. Larger ones have operations that keep all
cores busy."""

Result = TypeVar("Result")


class Halves:
    """Two threads, each with half of the cores."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        cores = torch.get_num_threads()
        self._threads = ThreadPoolExecutor(2, "half", initializer=_begin, initargs=(cores // 2,))
        self.each(2 * [threading.Barrier(2).wait])  # now both have begun,
        torch.set_num_threads(cores)  # and later threads begin with all cores again

    def of(self, denoise: Denoiser) -> Denoiser:
        """The same, in halves; differentiable in the network's trainable parameters alone."""

        def in_halves(*columns: Tensor) -> Tensor:
            z_t = columns[0]
            if len(z_t) < 2 or torch.is_autocast_enabled(z_t.device.type):
                return denoise(*columns)
            halves = list(zip(*(column.chunk(2) for column in columns), strict=True))
            if not torch.is_grad_enabled():
                return torch.cat(self.each([partial(_frozen, denoise, *half) for half in halves]))
            joined: Tensor = _Joined.apply(  # type: ignore[no-untyped-call]
                self.each, [partial(denoise, *half) for half in halves], *self._parameters
            )
            return joined

        return in_halves

    def each(self, work: Sequence[Callable[[], Result]]) -> list[Result]:
        """What the functions give, all called side by side."""
        return [future.result() for future in [self._threads.submit(each) for each in work]]


def halves_for(network: torch.nn.Module, device: torch.device) -> Halves | None:
    """None where halves would not be faster: off the CPU, on one core, with a large network."""
    small = sum(parameter.numel() for parameter in network.parameters()) <= LARGEST
    return (
        Halves(network) if device.type == "cpu" and torch.get_num_threads() > 1 and small else None
    )


def _begin(cores: int) -> None:
    """A thread with so many cores."""
    torch.get_num_threads()  # which takes over torch's own number, once a thread
    torch.set_num_threads(cores)


@torch.no_grad()
def _frozen(denoise: Denoiser, *columns: Tensor) -> Tensor:
    return denoise(*columns)


class _Joined(torch.autograd.Function):
    """Two graphs as one, whose gradients are computed side by side as well, and added in order."""

    @staticmethod
    def forward(
        ctx: Any,
        each: Callable[..., list[Any]],
        halves: Sequence[Callable[[], Tensor]],
        *parameters: Tensor,
    ) -> Tensor:
        with torch.enable_grad():
            ctx.made = each(halves)
        ctx.each, ctx.parameters = each, parameters
        return torch.cat([half.detach() for half in ctx.made])

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        joined: Any = ctx
        parts = gradients[0].split([len(half) for half in joined.made])
        first, second = joined.each(
            [
                partial(torch.autograd.grad, half, joined.parameters, part, allow_unused=True)
                for half, part in zip(joined.made, parts, strict=True)
            ]
        )
        joined.made = None
        return None, None, *map(_sum, first, second)


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return one if other is None else other if one is None else one + other
