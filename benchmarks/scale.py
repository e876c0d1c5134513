"""What several processes have to do of an epoch, and what they send each other.

    python -m benchmarks.scale [--counted-only] [--images 64] [--repeats 3]

Counted: a tenth of an epoch of the tiny preset is made once by one process, and each share of its
work (`processes.shared`) is noted: how many latents go through the network, and how many bytes its
result takes. For 1 to 64 processes follows what the busiest one has to do, which the others wait
for, and what each sends where results go round in a ring. A gradient's size is that of this model's
LoRA.

Measured: the same by one process and by two of this machine, one core each, in turns; the
fastest of `--repeats` counts. That needs idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from torch import distributed as dist
from torch import multiprocessing

from benchmarks.cells import RESULTS
from benchmarks.full_size import half_good
from benchmarks.jobs import command, console
from benchmarks.sheets import Sheet
from hero_engine import processes
from hero_engine.config import RunConfig
from hero_engine.methods import denoising_loss, policy_gradient, pretrained_pull
from hero_engine.methods.base import Method
from hero_engine.models import drawing
from hero_engine.presets import preset

PROCESSES = (1, 2, 4, 8, 16, 32, 64)
METHODS = ("hero", "hero+")
STAGES = ("drawing", "learning")
AT_ONCE = {"sample_batch_size": 4, "forward_batch_size": 4}
"""So small that there is something to share out; `auto` takes as many as the memory holds."""

Part = TypeVar("Part")
Result = TypeVar("Result")


@dataclass
class Share:
    """One call in which work is shared out, part by part."""

    evaluations: list[int] = field(default_factory=list)
    """Latents that go through the network."""
    sizes: list[int] = field(default_factory=list)
    """Bytes of the result, which every process gets."""

    def busiest(self, count: int) -> int:
        """The most evaluations that one of so many processes has."""
        return max(self._by_process(self.evaluations, count))

    def sent(self, count: int) -> int:
        """Bytes that a process sends in a ring: all results but its own neighbour's, each as large
        as the largest."""
        return (count - 1) * max(self._by_process(self.sizes, count))

    @staticmethod
    def _by_process(parts: list[int], count: int) -> list[int]:
        return [sum(parts[number::count]) for number in range(count)]


class Counter:
    """Notes each share of the work of a method."""

    def __init__(self, method: Method[Any]) -> None:
        self.shares: list[Share] = []
        self._evaluations = 0
        self._method = method
        method.policy.network.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._evaluations += len(args[0] if args else kwargs["hidden_states"])

    @contextmanager
    def counting(self) -> Iterator[None]:
        """In the block, the engine's calls are noted."""
        with ExitStack() as stack:
            for module in (drawing, pretrained_pull):
                stack.enter_context(patch.object(module, "shared", self._shared))
            for module in (policy_gradient, denoising_loss):
                stack.enter_context(patch.object(module, "shared_gradients", self._gradients))
            yield

    def _shared(self, parts: Sequence[Part], work: Callable[[int, Part], Result]) -> list[Result]:
        share, results = Share(), []
        self.shares.append(share)
        for number, part in enumerate(parts):
            before = self._evaluations
            results.append(work(number, part))
            share.evaluations.append(self._evaluations - before)
            share.sizes.append(len(processes._packed({number: results[-1]})))
        return results

    def _gradients(
        self,
        parameters: Sequence[torch.nn.Parameter],
        parts: Sequence[Part],
        backward: Callable[[Part], Result],
    ) -> list[Result]:
        gradients = {0: [parameter.detach().clone() for parameter in parameters]}
        size = len(processes._packed(gradients))
        results = self._shared(parts, lambda _, part: backward(part))
        self.shares[-1].sizes = [own + size for own in self.shares[-1].sizes]
        return results


def config_of(method: str, images: int) -> RunConfig:
    """A tenth of the tiny preset's epoch, which is shared out as the whole is."""
    tenth: dict[str, dict[str, Any]] = {
        "hero": {"trained_steps": 2, "inner_epochs": 1},
        "hero+": {"denoising_steps": 12, "denoising_repeats": 0, "denoising_full_share": 0.0},
    }
    fields = {**AT_ONCE, **tenth[method], "num_inference_steps": 4}
    return preset("tiny", method=method, images_per_epoch=images, **fields)


def counted(method: str, images: int) -> dict[str, Any]:
    """By stage: evaluations of the busiest process and bytes that each sends, by their number."""
    run = Method.create(config_of(method, images))
    counter, found = Counter(run), {}
    with counter.counting():
        batch = run.generate()
        drawn, counter.shares = counter.shares, []
        run.learn(batch, half_good(batch))
    for stage, shares in zip(STAGES, (drawn, counter.shares), strict=True):
        found[stage] = [
            {
                "processes": count,
                "evaluations": sum(share.busiest(count) for share in shares),
                "bytes_sent": sum(share.sent(count) for share in shares),
                "exchanges": len(shares) if count > 1 else 0,
            }
            for count in PROCESSES
        ]
    return found


def measured(method: str, images: int, count: int) -> dict[str, float]:
    """Seconds of each stage by so many processes, as the first one sees it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        multiprocessing.spawn(_member, (count, method, images, folder), nprocs=count)
        seconds: dict[str, float] = json.loads((folder / "seconds.json").read_text())
    return seconds


def _member(number: int, count: int, method: str, images: int, folder: Path) -> None:
    torch.set_num_threads(1)
    if count > 1:
        address = f"file://{folder / 'address'}"
        dist.init_process_group("gloo", init_method=address, rank=number, world_size=count)
    run = Method.create(config_of(method, images))
    run.sample(1)
    clock = [time.perf_counter()]
    batch = run.generate()
    clock.append(time.perf_counter())
    run.learn(batch, half_good(batch))
    clock.append(time.perf_counter())
    if number == 0:
        spent = [later - before for before, later in pairwise(clock)]
        (folder / "seconds.json").write_text(json.dumps(dict(zip(STAGES, spent, strict=True))))


def fastest(method: str, images: int, repeats: int) -> dict[str, Any]:
    """By number of processes, the least seconds of each stage; they take turns."""
    rounds = [{count: measured(method, images, count) for count in (1, 2)} for _ in range(repeats)]
    return {
        str(count): {stage: min(each[count][stage] for each in rounds) for stage in STAGES}
        for count in (1, 2)
    }


def counted_sheet(rows: dict[str, Any]) -> Sheet:
    """What was counted."""
    sheet = Sheet(
        "Counted: a tenth of an epoch by many processes",
        [
            "method",
            "stage",
            "processes",
            "evaluations of the busiest",
            "faster, at most",
            "MB that each sends",
            "exchanges",
        ],
        words=2,
    )
    for method, stages in rows.items():
        for stage, counts in stages.items():
            for row in counts:
                sheet.add(
                    method,
                    stage,
                    row["processes"],
                    f"{row['evaluations']:,}",
                    f"{counts[0]['evaluations'] / row['evaluations']:.1f}",
                    f"{row['bytes_sent'] / 1e6:,.1f}",
                    f"{row['exchanges']:,}",
                )
    return sheet


def measured_sheet(rows: dict[str, Any], load: float) -> Sheet:
    """What was measured."""
    busy = "" if load < 0.5 else f" (this machine was busy: load {load:.1f}, so these say nothing)"
    sheet = Sheet(
        f"Measured: seconds of a tenth of an epoch by one process and by two{busy}",
        ["method", "stage", "one", "two", "faster"],
        words=2,
    )
    for method, counts in rows.items():
        for stage in STAGES:
            one, two = counts["1"][stage], counts["2"][stage]
            sheet.add(method, stage, f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}")
    return sheet


def sheets_of(figures: dict[str, Any]) -> list[Sheet]:
    """A table of what was counted, and one of what was measured, if anything was."""
    sheets = [counted_sheet(figures["counted"])]
    if "measured" in figures:
        sheets.append(measured_sheet(figures["measured"], figures["load_before"]))
    return sheets


def page(figures: dict[str, Any]) -> str:
    """The tables in Markdown."""
    parts = [f"# Several processes\n\n`{figures['command']}`\n"]
    parts += [f"## {sheet.title}\n\n{sheet.markdown()}" for sheet in sheets_of(figures)]
    if "measured" not in figures:
        parts.append(
            "Nothing was measured: seconds need two idle cores, and say nothing without.\n"
        )
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--counted-only", action="store_true", help="measure nothing")
    parser.add_argument("--images", type=int, default=64, help="in an epoch")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    screen = console()
    figures: dict[str, Any] = {
        "command": command("scale"),
        "load_before": round(os.getloadavg()[0], 2),
        "counted": {method: counted(method, options.images) for method in METHODS},
    }
    if not options.counted_only:
        figures["measured"] = {
            method: fastest(method, options.images, options.repeats) for method in METHODS
        }
    (RESULTS / "scale.json").write_text(json.dumps(figures, indent=1) + "\n")
    (RESULTS / "scale.md").write_text(page(figures))
    for sheet in sheets_of(figures):
        screen.print(sheet.rich())


if __name__ == "__main__":
    main()
