"""On a GPU the tiny networks wait for Python: their calls are recorded once and replayed.

A call of the UNet has some hundred kernels of a few microseconds each. `install` records, for each
shape of input that comes more than `EAGER_CALLS` times, a CUDA graph of the call, and of its
backward pass where there is one; the arithmetic is the same. Only benchmarks use it: the networks
that people fine-tune keep a GPU busy by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.autoencoders.vae import Decoder
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

EAGER_CALLS = 3
Call = Callable[..., Tensor]


def install() -> None:
    """Replay what is called often, in this process; does nothing without a GPU."""
    if not torch.cuda.is_available():
        return
    torch.backends.cudnn.allow_tf32 = False
    unet, decoder = UNet2DConditionModel.forward, Decoder.forward

    def unet_forward(
        self: UNet2DConditionModel, sample: Tensor, timestep: Any, states: Tensor, **options: Any
    ) -> Any:
        if options != {"return_dict": False} or not isinstance(timestep, Tensor):
            return unet(self, sample, timestep, states, **options)

        def call(*inputs: Tensor) -> Tensor:
            return unet(self, *inputs, return_dict=False)[0]

        return (_recorded(self, call, sample, timestep, states),)

    def decoder_forward(self: Decoder, sample: Tensor, latent_embeds: Tensor | None = None) -> Any:
        if latent_embeds is not None:
            return decoder(self, sample, latent_embeds)
        return _recorded(self, lambda latents: decoder(self, latents), sample)

    UNet2DConditionModel.forward = unet_forward
    Decoder.forward = decoder_forward
    torch.optim.Optimizer.zero_grad = _zero_grad


class _Whole(nn.Module):
    """A network with its call, so that the recording knows whose parameters learn."""

    def __init__(self, network: nn.Module, call: Call) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.call(*inputs)


def _recorded(network: nn.Module, call: Call, *inputs: Tensor) -> Tensor:
    """The call's answer, replayed if this kind of call has come often enough."""
    if torch.cuda.is_current_stream_capturing():
        return call(*inputs)
    learning = torch.is_grad_enabled() and any(p.requires_grad for p in network.parameters())
    kind = (learning, _adapted(network), *(tuple(x.shape) for x in inputs))
    calls = network.__dict__.setdefault("_calls", {})
    known = calls.setdefault(kind, 0)
    if isinstance(known, int):
        calls[kind] = known + 1
        if known < EAGER_CALLS:
            return call(*inputs)
        calls[kind] = known = (_with_backward if learning else _forward)(network, call, inputs)
    return known(*(x.contiguous() for x in inputs))


def _adapted(network: nn.Module) -> bool:
    """Whether the LoRA takes part."""
    layer = network.__dict__.get("_first_lora")
    if layer is None:
        layers = (m for m in network.modules() if isinstance(m, BaseTunerLayer))
        layer = network.__dict__["_first_lora"] = [next(layers, None)]
    return layer[0] is not None and not layer[0].disable_adapters


def _with_backward(network: nn.Module, call: Call, inputs: tuple[Tensor, ...]) -> Call:
    whole = _Whole(network, call).train(network.training)
    examples = tuple(x.detach().clone().contiguous() for x in inputs)
    return torch.cuda.make_graphed_callables(whole, examples)


def _forward(network: nn.Module, call: Call, inputs: tuple[Tensor, ...]) -> Call:
    examples = [x.detach().clone().contiguous() for x in inputs]
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(aside):
        for _ in range(EAGER_CALLS):
            call(*examples)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        answer = call(*examples)

    def replay(*inputs: Tensor) -> Tensor:
        for example, value in zip(examples, inputs, strict=True):
            example.copy_(value)
        graph.replay()
        return answer.clone()

    return replay


def _zero_grad(optimizer: torch.optim.Optimizer, set_to_none: bool = False) -> None:
    """Gradients stay where they are: a replayed backward pass writes into memory of its own, which
    would otherwise become the parameter's gradient and be overwritten by the next replay."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad.zero_()
