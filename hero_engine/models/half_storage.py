"""Frozen weights stored in 16 bits, and widened to float32 whenever they are used.

All arithmetic stays float32, so what comes out is bit-equal to float32 arithmetic on the rounded
weights: the policy gradient's ratio needs that. (diffusers' `enable_layerwise_casting` swaps a
layer's weights in place, which the backward pass of a convolution does not survive.)
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Where nearly all weights are; norms, embeddings and single tensors stay float32."""


class _Widened(nn.Module):
    """A stored tensor as float32."""

    def forward(self, stored: Tensor) -> Tensor:
        return stored.float()


def store_in_half(network: nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights of linear and convolution layers in `dtype`, a 16-bit one.

    `layer.weight` is float32 as before, made from what is stored each time it is read. Layers that
    share a weight with another one stay float32; so does the first, since diffusers takes the first
    parameter's precision for the network's.
    """
    layers = list(_layers(network))
    stored = {id(tensor) for layer in layers for tensor in layer.parameters()}
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype if id(tensor) in stored else torch.float32)
    for layer in layers:
        for name in [name for name, _ in layer.named_parameters(recurse=False)]:
            parametrize.register_parametrization(layer, name, _Widened(), unsafe=True)


def stored_weight(layer: nn.Linear) -> Tensor:
    """The weight of a layer as it is stored: in 16 bits, or float32 as `layer.weight`."""
    if parametrize.is_parametrized(layer, "weight"):
        kept: Any = layer.parametrizations
        return kept["weight"].original
    return layer.weight


def _layers(network: nn.Module) -> Iterator[nn.Module]:
    owners = Counter(
        id(tensor) for module in network.modules() for tensor in module.parameters(recurse=False)
    )
    owners.update(id(tensor) for tensor in [next(network.parameters(), None)])
    for layer in network.modules():
        if isinstance(layer, _LAYERS) and all(owners[id(each)] == 1 for each in layer.parameters()):
            yield layer
