"""The policy update, one step at a time against several in a forward pass: time and gradient.

    python -m benchmarks.update_speed [--model FOLDER] [--trained-steps 5] [--repeats 3]

The reference does what DDPO's published loops do: two images in a forward pass, one denoising
step after the other. Ours puts `forward_batch_size` (image, step) pairs through the network at
once. Both make the same optimizer steps from the same batch, in turn, and the fastest counts.
"""

import argparse
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hero_engine import ddpo
from hero_engine.config import preset
from hero_engine.hero import Hero
from hero_engine.sampling import Transitions

TRAIN_BATCH = 2
"""Images in one forward pass of the reference."""


def one_step_at_a_time(hero: Hero, transitions: Transitions, advantages: Tensor) -> None:
    """Add the gradient of a minibatch's mean loss, as `ddpo.accumulate_gradient` does."""
    denoise = hero.policy.denoiser(hero.config.prompt, hero.config)
    clip_range = ddpo.scaled_clip_range(hero.config.clip_range, transitions.z_t[0, 0].numel())
    for rows in torch.arange(len(transitions)).split(TRAIN_BATCH):
        for step in range(transitions.timesteps.shape[1]):
            pairs = ddpo.flatten_pairs(transitions[rows[:, None], [[step]]])
            log_probs = ddpo.pair_log_probs(denoise, hero.schedule, pairs, hero.policy.device)
            losses, _ = ddpo.clipped_losses(log_probs, pairs.log_prob, advantages[rows], clip_range)
            (losses.sum() / transitions.timesteps.numel()).backward()


def batched(hero: Hero, transitions: Transitions, advantages: Tensor) -> None:
    ddpo.accumulate_gradient(
        hero.policy.denoiser(hero.config.prompt, hero.config),
        hero.schedule,
        transitions,
        advantages,
        clip_range=ddpo.scaled_clip_range(hero.config.clip_range, transitions.z_t[0, 0].numel()),
        forward_batch_size=hero.config.forward_batch_size,
        device=hero.policy.device,
    )


Accumulate = Callable[[Hero, Transitions, Tensor], None]


def gradient(hero: Hero, accumulate: Accumulate, part: Transitions, advantages: Tensor) -> Tensor:
    hero.optimizer.zero_grad()
    accumulate(hero, part, advantages)
    return torch.cat([parameter.grad.flatten() for parameter in hero.policy.parameters])


def epoch_seconds(
    hero: Hero, accumulate: Accumulate, transitions: Transitions, advantages: Tensor
) -> float:
    """Wall-clock seconds of an epoch's update, from the same policy each time."""
    lora = hero.policy.lora_state()
    started = time.perf_counter()
    for rows in torch.arange(len(transitions)).split(hero.config.minibatch_size):
        hero.optimizer.zero_grad()
        accumulate(hero, transitions[rows], advantages[rows])
        torch.nn.utils.clip_grad_norm_(hero.policy.parameters, hero.config.max_grad_norm)
        hero.optimizer.step()
    seconds = time.perf_counter() - started
    hero.policy.load_lora_state(lora)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=preset("tiny").model)
    parser.add_argument("--trained-steps", type=int, default=5)
    parser.add_argument("--forward-batch-size", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    fields = {"model": options.model, "trained_steps": options.trained_steps}
    if options.forward_batch_size:
        fields["forward_batch_size"] = options.forward_batch_size
    config = preset("tiny", num_inference_steps=2 * options.trained_steps, **fields)
    hero = Hero.create(config)
    torch.manual_seed(0)
    for parameter in hero.policy.parameters:
        torch.nn.init.normal_(parameter, std=0.02)
    transitions = hero.generate().transitions
    advantages = torch.randn(len(transitions))

    first = slice(0, config.minibatch_size)
    reference = gradient(hero, one_step_at_a_time, transitions[first], advantages[first])
    ours = gradient(hero, batched, transitions[first], advantages[first])
    difference = float((ours - reference).abs().max() / reference.abs().max())

    seconds: dict[Accumulate, float] = {one_step_at_a_time: float("inf"), batched: float("inf")}
    for _ in range(options.repeats):
        for accumulate in seconds:
            taken = epoch_seconds(hero, accumulate, transitions, advantages)
            seconds[accumulate] = min(seconds[accumulate], taken)
    slow, fast = seconds[one_step_at_a_time], seconds[batched]
    table = Table(
        title=f"Update of {len(transitions)} images x {config.trained_steps} steps, "
        f"{torch.get_num_threads()} threads"
    )
    for column in ("loop", "pairs a forward pass", "seconds", "times faster"):
        table.add_column(column, justify="left" if column == "loop" else "right")
    table.add_row("one step at a time", str(TRAIN_BATCH), f"{slow:.2f}", "1.0")
    table.add_row(
        "several steps", str(config.forward_batch_size), f"{fast:.2f}", f"{slow / fast:.1f}"
    )
    console = Console()
    console.print(table)
    console.print(f"Largest difference of the gradients, relative to the largest: {difference:.1e}")


if __name__ == "__main__":
    main()
