"""LoRA layers that add their matrices to the weight before the product: (W + BA)x, not Wx + B(Ax).

The same function up to rounding, with one matrix product for each layer instead of three. Its
gradient is computed as that of the two thin matrices, so the weight's own, which nobody needs, is
never made.
"""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F
from torch.nn.utils.parametrize import type_before_parametrizations

from hero_engine.models.half_storage import stored_weight


class MergedLinear(torch.autograd.Function):
    """x (W + BA)^T + bias, differentiable in x, A and B."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "*token in"],
        weight: Float[Tensor, "out in"],
        down: Float[Tensor, "rank in"],
        up: Float[Tensor, "out rank"],
        bias: Float[Tensor, " out"] | None,
    ) -> Float[Tensor, "*token out"]:
        """`down` is A and `up` is B, times the LoRA's scale."""
        ctx.save_for_backward(x, weight, down, up)
        return F.linear(x, _merged(weight, down, up), bias)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """By the chain rule through Wx + B(Ax)."""
        x, weight, down, up = ctx.saved_tensors  # type: ignore[attr-defined]
        wanted = ctx.needs_input_grad  # type: ignore[attr-defined]
        gradient = gradients[0].flatten(0, -2)
        tokens = x.flatten(0, -2)
        of_x = gradients[0] @ _merged(weight, down, up) if wanted[0] else None
        # In this order no thin factor is a column of the product, which takes a third of the time.
        of_down = (up.T @ gradient.T) @ tokens if wanted[2] else None
        of_up = ((down @ tokens.T) @ gradient).T if wanted[3] else None
        return of_x, None, of_down, of_up, None


def _merged(weight: Tensor, down: Tensor, up: Tensor) -> Float[Tensor, "out in"]:
    return torch.addmm(weight.to(down.dtype), up, down)


def merge_in_forward(network: torch.nn.Module) -> None:
    """Let every LoRA on a linear layer of `network` work that way; weights in 8 or 4 bits have
    LoRA layers of other classes."""
    for layer in network.modules():
        if type(layer) is LoraLinear and _is_plain(layer.get_base_layer()):
            layer.forward = partial(_forward, layer)  # type: ignore[method-assign]


def _is_plain(layer: torch.nn.Module) -> bool:
    """A linear layer of torch's, whether or not its weight is stored in 16 bits."""
    return type_before_parametrizations(layer) is torch.nn.Linear


def _forward(layer: LoraLinear, x: Tensor) -> Tensor:
    base: Any = layer.get_base_layer()
    if layer.disable_adapters or torch.is_autocast_enabled(x.device.type):
        return LoraLinear.forward(layer, x)
    (name,) = layer.active_adapters
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    made: Tensor = MergedLinear.apply(  # type: ignore[no-untyped-call]
        x, stored_weight(base), down, layer.scaling[name] * up, base.bias
    )
    return made
