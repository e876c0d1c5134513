"""The training loop that the autoencoder, the judge and the diffusion model share.

Two processes of one thread each train faster on two cores than one process of two threads; their
gradients are averaged by DistributedDataParallel over gloo. Each stays on a core of its own, where
the system lets it: on a busy machine both were seen to share one.
"""

import json
import os
import socket
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from math import cos, pi
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from torch.distributed import destroy_process_group, get_world_size, init_process_group
from torch.nn.parallel import DistributedDataParallel

Loss = TypeVar("Loss", bound=nn.Module)

RANKS = 2
EMA_DECAY = 0.998
LOG_EVERY = 25
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
}
"""glibc keeps freed memory instead of giving it back: a quarter of the time in training."""


@dataclass(frozen=True)
class Plan:
    """How one model is trained."""

    stage: str
    steps: int
    batch_size: int
    """Images a step, over all ranks."""
    learning_rate: float
    warmup: int = 100
    checkpoint_every: int = 250
    ema_decay: float = EMA_DECAY
    steps_after_growth: int = 0
    """Steps where the training begins with trained weights, because the world has grown."""

    def after_growth(self) -> "Plan":
        """The plan for trained weights."""
        return replace(self, steps=self.steps_after_growth)


def learning_rate(plan: Plan, step: int) -> float:
    """Linear warm-up, then half a cosine down to 2 % of the peak."""
    rising = min(1.0, (step + 1) / plan.warmup)
    falling = 0.02 + 0.98 * 0.5 * (1 + cos(pi * min(1.0, step / plan.steps)))
    return plan.learning_rate * rising * falling


def in_ranks(work: Callable[..., None], *arguments: object, ranks: int = RANKS) -> None:
    """Runs `work(rank, *arguments)` in `ranks` processes that form a gloo group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = dict(os.environ)
    os.environ.update(MALLOC, OMP_NUM_THREADS="1")
    try:
        torch.multiprocessing.spawn(_rank, (ranks, port, work, arguments), nprocs=ranks)
    finally:
        os.environ.clear()
        os.environ.update(own)


def _rank(
    rank: int, ranks: int, port: int, work: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    torch.set_num_threads(1)
    if ranks > 1 and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
    init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    work(rank, *arguments)
    destroy_process_group()


def fit(
    rank: int,
    plan: Plan,
    model: Loss,
    folder: Path,
    seed: int,
    images: int,
    keep: Callable[[Loss, int], None] | None = None,
) -> Loss:
    """Trains `model`, whose `forward(indices, generator)` is the loss of those images.

    Resumes from `folder/<stage>.pt` where there is one, writes it every `checkpoint_every` steps
    (then calls `keep(ema, step)` on rank 0) and a line of `folder/<stage>.jsonl` every
    `LOG_EVERY` steps. Returns the moving average of the weights.
    """
    ema = deepcopy(model).requires_grad_(False).eval()
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.learning_rate, weight_decay=1e-4, betas=(0.9, 0.99)
    )
    state_file, log_file = folder / f"{plan.stage}.pt", folder / f"{plan.stage}.jsonl"
    start, minutes = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        start, minutes = state["step"], state["minutes"]
    elif rank == 0:
        log_file.unlink(missing_ok=True)
    generator = torch.Generator()
    began, running = time.monotonic(), []
    ranks = get_world_size()
    share = plan.batch_size // ranks
    for step in range(start, plan.steps):
        generator.manual_seed((seed * 1_000_003 + step) * ranks + rank)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, step)
        indices = torch.randint(images, (share,), generator=generator)
        loss = parallel(indices, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        _follow(ema, model, min(plan.ema_decay, (1 + step) / (10 + step)))
        running.append(loss.item())
        if rank != 0:
            continue
        done = step + 1
        spent = minutes + (time.monotonic() - began) / 60
        if done % LOG_EVERY == 0 or done == plan.steps:
            entry = {"step": done, "loss": sum(running) / len(running), "minutes": spent}
            running = []
            with log_file.open("a") as log:
                log.write(json.dumps(entry) + "\n")
        if done % plan.checkpoint_every == 0 or done == plan.steps:
            state = {
                "model": model.state_dict(),
                "ema": ema.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": done,
                "minutes": spent,
            }
            torch.save(state, state_file.with_suffix(".tmp"))
            state_file.with_suffix(".tmp").replace(state_file)
            if keep is not None:
                keep(ema, done)
    return ema


def _follow(ema: nn.Module, model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for slow, fast in zip(ema.parameters(), model.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
        for kept, seen in zip(ema.buffers(), model.buffers(), strict=True):
            kept.copy_(seen)


def minutes_and_losses(folder: Path, stage: str) -> dict[str, object]:
    """The training's record: steps, minutes, and the loss at ten points."""
    lines = [json.loads(line) for line in (folder / f"{stage}.jsonl").read_text().splitlines()]
    shown = lines[:: max(1, len(lines) // 10)] + lines[-1:]
    losses = [[line["step"], round(line["loss"], 4)] for line in shown]
    return {
        "steps": lines[-1]["step"],
        "minutes": round(lines[-1]["minutes"], 1),
        "losses": losses,
    }
