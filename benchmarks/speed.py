"""How fast the engine is, part by part: each beside what others do, on this machine, in one run.

    python -m benchmarks.speed [--images 16] [--repeats 3] [--threads 1] [--model FOLDER]

Sampling runs beside diffusers' bare pipeline on the same noises, at several batch sizes; the update
beside the loop that ddpo-pytorch and sony/hero use (one, two or four images, one timestep after the
other) at equal gradients; and an epoch of hero+ with all that it does. What
is compared takes turns, and the fastest of `--repeats` counts. Peak memory is measured in a fresh
process each. What counts are the ratios: seconds are those of this machine as it was. Where it is
not idle, the processor's time with `--threads 1` says most. Memory and waiting threads are set as
for a worker of the service.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from backend.local.torch_environment import TORCH_ENVIRONMENT
from benchmarks.cells import RESULTS
from benchmarks.full_size import half_good
from benchmarks.jobs import command, console
from benchmarks.resident import peak
from benchmarks.speed_parts import BARE_BATCHES, PEERS, Bench
from benchmarks.watched_passes import Pass, watched
from hero_engine.config import RunConfig
from hero_engine.feedback.noise_bank import NoiseBank
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from hero_engine.presets import preset

SPEED = RESULTS / "speed.json"
MATRIX = 1024
"""Side of the square matrices whose product is taken for the machine's ceiling."""
STEPS = (10, 20, 40)
"""Numbers of denoising steps for which a trajectory's memory is measured."""
TRAINED_STEPS: tuple[int | Literal["all"], ...] = (1, 5, 10, "all")
"""K, for which the update is timed (Table 5)."""

Figures = dict[str, Any]
Parts = dict[str, Callable[[], object]]

BARE, LOOP = "bare pipeline", "update in a loop"
PLUS_EPOCH = "an epoch of hero+"
PEER = "8 / 2"
"""The loop whose gradient and memory ours are compared with."""
PEER_IMAGES = PEERS[PEER]
CLOCKS = ("seconds", "cpu_seconds")
ROUNDS_ALONE = 10
"""How often each of the network's passes is timed."""
FEW_STEPS = {"num_inference_steps": 2, "denoising_steps": 8, "embedding_steps": 4}
"""Enough of each for the largest memory of an epoch: two of the pretrained model's passes."""


def in_turns(actions: dict[str, Callable[[], object]], repeats: int, bench: Bench) -> Figures:
    """The least time of each action, all of them once a round, and its UNet evaluations."""
    figures: Figures = {
        name: {"seconds": float("inf"), "cpu_seconds": float("inf")} for name in actions
    }
    for _ in range(repeats):
        for name, action in actions.items():
            bench.evaluations = 0
            started, cpu_started = time.perf_counter(), time.process_time()
            action()
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
            best = figures[name]
            best["seconds"] = min(best["seconds"], seconds)
            best["cpu_seconds"] = min(best["cpu_seconds"], cpu_seconds)
            best["unet_evaluations"] = bench.evaluations
    return figures


def changed(config: RunConfig, **settings: Any) -> RunConfig:
    """The same with some settings replaced."""
    return make_config(**{**config.flat(), **settings})


def timings(config: RunConfig, repeats: int) -> Figures:
    """Seconds and UNet evaluations of every part, and what goes with them."""
    bench = Bench(config)
    transitions = bench.ours()
    reference = bench.gradient(bench.one_step_at_a_time(PEER_IMAGES), transitions)
    difference = (bench.gradient(bench.batched, transitions) - reference).abs().max()
    bare: Parts = {f"{BARE}, {n} at once": partial(bench.bare, n) for n in BARE_BATCHES}
    figures = in_turns({"sampling": bench.ours, **bare}, repeats, bench)
    loops: Parts = {
        f"{LOOP}, {name}": partial(bench.update, bench.one_step_at_a_time(images), transitions)
        for name, images in PEERS.items()
    }
    ours = partial(bench.update, bench.batched, transitions)
    figures |= in_turns({"update": ours, **loops}, repeats, bench)
    figures |= in_turns({"embedding": bench.embed}, 1, bench)
    figures |= plus_epoch(config)
    figures |= checkpoint(bench, repeats)
    return {
        "parts": figures,
        "gradient_difference": float(difference / reference.abs().max()),
        "update_by_trained_steps": by_trained_steps(config, repeats),
        "unet": ceiling(bench, repeats),
        "trajectory": trajectories(config),
    }


def by_trained_steps(config: RunConfig, repeats: int) -> Figures:
    """The update by K, all values once a round."""
    bench = Bench(changed(config, trained_steps="all"))
    transitions = bench.ours()
    everything = transitions.steps.shape[1]

    def update(steps: int) -> Callable[[], None]:
        return lambda: bench.update(bench.batched, transitions[:, :steps])

    trained = {str(steps): everything if steps == "all" else steps for steps in TRAINED_STEPS}
    return in_turns({name: update(steps) for name, steps in trained.items()}, repeats, bench)


def plus_epoch(config: RunConfig) -> Figures:
    """A whole epoch of hero+ by the tiny preset with all of its steps, half of its images good;
    what it is made of; and what the network alone takes of it."""
    run = plus_run(config)
    with watched(run.policy) as passes:
        clocks = [_clocks()]
        batch = run.generate()
        clocks.append(_clocks())
        run.learn(batch, half_good(batch))
        clocks.append(_clocks())
    return {
        PLUS_EPOCH: _between(clocks[0], clocks[2]),
        f"{PLUS_EPOCH}: drawing": _between(clocks[0], clocks[1]),
        f"{PLUS_EPOCH}: learning": _between(clocks[1], clocks[2]),
        f"{PLUS_EPOCH}: the network alone": network_alone(run, passes),
    }


def plus_run(config: RunConfig, **settings: Any) -> Method[Any]:
    """hero+ by the tiny preset, which makes all of its steps whatever people say."""
    every = {"denoising_repeats": 0, "denoising_full_share": 0.0}
    return Method.create(
        preset("tiny", model=config.model.name, seed=config.seed, **every, **settings)
    )


def network_alone(run: Method[Any], passes: Counter[Pass]) -> Figures:
    """These passes with nothing between them, by the fastest of each kind."""
    rounds = [{one: _timed(partial(one.alone, run)) for one in passes} for _ in range(ROUNDS_ALONE)]
    return {
        "unet_evaluations": sum(one.evaluations * count for one, count in passes.items()),
        **{
            clock: sum(
                count * min(found[one][clock] for found in rounds) for one, count in passes.items()
            )
            for clock in CLOCKS
        },
    }


def _timed(action: Callable[[], object]) -> Figures:
    before = _clocks()
    action()
    return _between(before, _clocks())


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _between(before: tuple[float, float], after: tuple[float, float]) -> Figures:
    seconds, cpu_seconds = (end - start for start, end in zip(before, after, strict=True))
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "unet_evaluations": 0}


def checkpoint(bench: Bench, repeats: int) -> Figures:
    """Saving and resuming a run with a noise bank."""
    hero = bench.hero
    memory = hero.memories[0]
    memory.anchor, memory.bank = bench.noises[0], NoiseBank(bench.noises, bench.noises[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        figures = in_turns(
            {"save": lambda: hero.save(path), "resume": lambda: Method.resume(path)}, repeats, bench
        )
        size = sum(file.stat().st_size for file in path.iterdir())
    figures["save"]["megabytes"] = size / 1e6
    return figures


def ceiling(bench: Bench, repeats: int) -> Figures:
    """The UNet's arithmetic per second, as a share of that of a large matrix product."""
    size = 2 * bench.hero.config.sampling.images_at_once
    unet, embeds = bench.pipe.unet, bench.pipe.text_encoder.config
    z_t = torch.randn(size, *bench.hero.policy.latent_shape)
    text = torch.randn(size, embeds.max_position_embeddings, embeds.hidden_size)
    one, other = torch.randn(2, MATRIX, MATRIX)
    with torch.no_grad():
        counter = FlopCounterMode(display=False)
        with counter:
            unet(z_t, 500, text)
        figures = in_turns(
            {"unet": lambda: unet(z_t, 500, text), "matmul": lambda: one @ other},
            3 * repeats,
            bench,
        )
    clock = "cpu_seconds" if torch.get_num_threads() == 1 else "seconds"
    flops = counter.get_total_flops() / figures["unet"][clock]
    most = 2 * MATRIX**3 / figures["matmul"][clock]
    return {
        "gigaflops_an_evaluation": counter.get_total_flops() / size / 1e9,
        "gigaflops_a_second": flops / 1e9,
        "matrix_product_gigaflops_a_second": most / 1e9,
        "share_of_ceiling": flops / most,
    }


def trajectories(config: RunConfig) -> list[Figures]:
    """Bytes that a batch keeps of its trajectories, beside those of whole ones."""
    rows = []
    for steps in STEPS:
        bench = Bench(
            changed(config, num_inference_steps=steps, trained_steps=5, images_per_epoch=2)
        )
        kept = bench.ours()
        tensors = (kept.steps, kept.z_t, kept.z_prev, kept.log_prob)
        latent = bench.noises[0].numel() * bench.noises.element_size()
        rows.append(
            {
                "steps": steps,
                "bytes_an_image": sum(t.numel() * t.element_size() for t in tensors) // len(kept),
                "bytes_of_all_steps": (steps + 1) * latent,
            }
        )
    return rows


def peak_memory(config: RunConfig, part: str) -> Figures:
    """Resident memory before the part and at its peak, in this process."""
    if part == PLUS_EPOCH:
        run = plus_run(config, **FEW_STEPS)
        loaded = _resident()
        batch = run.generate()
        run.learn(batch, half_good(batch))
        return {"loaded_megabytes": loaded, "peak_megabytes": _resident()}
    if part.startswith("update"):
        # So that not the sampling of the batch is what takes most.
        steps = config.flat()["trained_steps"]
        config = changed(config, num_inference_steps=steps, sample_batch_size=PEER_IMAGES)
    bench = Bench(config)
    loaded = _resident()
    if part == "sampling":
        bench.ours()
    elif part.startswith(BARE):
        bench.bare(config.sampling.images_at_once)
    elif part == "embedding":
        bench.embed()
    else:
        loop = bench.one_step_at_a_time(PEER_IMAGES)
        accumulate = bench.batched if part == "update" else loop
        bench.update(accumulate, bench.ours())
    return {"loaded_megabytes": loaded, "peak_megabytes": _resident()}


PARTS = ("sampling", f"{BARE}, 32 at once", "embedding", "update", f"{LOOP}, {PEER}", PLUS_EPOCH)


def _resident() -> float:
    """The most memory that this process has had, in megabytes."""
    return peak() / 1e6


def measure(config: RunConfig, repeats: int, threads: int) -> Figures:
    """Everything, one process after the other."""
    load = os.getloadavg()[0]
    os.environ.update(TORCH_ENVIRONMENT)  # which the processes below begin with, as a worker does
    context = multiprocessing.get_context("spawn")

    def fresh(function: Callable[..., Figures], *arguments: object) -> Figures:
        with ProcessPoolExecutor(
            1, mp_context=context, initializer=torch.set_num_threads, initargs=(threads,)
        ) as pool:
            found: Figures = pool.submit(function, config, *arguments).result()
            return found

    figures = fresh(timings, repeats)
    for part in PARTS:
        figures["parts"][part] |= fresh(peak_memory, part)
    figures["ratios"] = {clock: ratios(figures["parts"], clock) for clock in CLOCKS}
    figures["machine"] = {
        "cores": os.cpu_count(),
        "threads": threads,
        "torch": torch.__version__,
        "load_before": load,
        "loaded_by_others": load > 0.5,
    }
    return figures


def ratios(parts: Figures, clock: str) -> Figures:
    """Ours against others', by one of the clocks."""

    def ratio(one: str, other: str) -> float:
        return float(parts[one][clock] / parts[other][clock])

    bare = min((name for name in parts if name.startswith(BARE)), key=lambda n: parts[n][clock])
    return {
        f"sampling to {BARE} at its best batch": ratio("sampling", bare),
        **{f"{LOOP}, {name}, to ours": ratio(f"{LOOP}, {name}", "update") for name in PEERS},
    }


def tables(figures: Figures) -> list[Table]:
    """What is printed."""
    parts = Table(title="An epoch, part by part", title_justify="left")
    for name in (
        "part",
        "seconds",
        "of the CPU",
        "UNet evaluations",
        "MB loaded",
        "MB at the peak",
    ):
        parts.add_column(name, justify="left" if name == "part" else "right")
    for name, row in figures["parts"].items():
        memory = [row.get("loaded_megabytes"), row.get("peak_megabytes")]
        evaluations = row["unet_evaluations"]
        parts.add_row(
            name,
            f"{row['seconds']:.2f}",
            f"{row['cpu_seconds']:.2f}",
            str(evaluations) if evaluations else "",
            *("" if value is None else f"{value:.0f}" for value in memory),
        )
    by_steps = Table(title="The update by trained steps K", title_justify="left")
    for name in ("K", "seconds", "of the CPU"):
        by_steps.add_column(name, justify="right")
    for name, row in figures["update_by_trained_steps"].items():
        by_steps.add_row(name, f"{row['seconds']:.2f}", f"{row['cpu_seconds']:.2f}")
    kept = Table(title="Bytes kept of an image's trajectory, 5 steps trained", title_justify="left")
    for name in ("steps", "kept", "all of them"):
        kept.add_column(name, justify="right")
    for row in figures["trajectory"]:
        kept.add_row(*(str(value) for value in row.values()))
    ratio = Table(title="Ratios", title_justify="left")
    for name in ("of", "seconds", "seconds of the CPU"):
        ratio.add_column(name, justify="left" if name == "of" else "right")
    for name in figures["ratios"]["seconds"]:
        ratio.add_row(name, *(f"{figures['ratios'][clock][name]:.2f}" for clock in CLOCKS))
    return [parts, ratio, by_steps, kept]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", default=preset("tiny").model.name, help="tiny, or a pipeline's folder"
    )
    parser.add_argument("--images", type=int, default=16, help="images of a batch")
    parser.add_argument("--steps", type=int, default=20, help="denoising steps of an image")
    parser.add_argument("--trained-steps", type=int, default=5, help="steps of each in the update")
    parser.add_argument("--repeats", type=int, default=3, help="rounds; the fastest counts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=SPEED)
    options = parser.parse_args()
    config = preset(
        "tiny",
        method="hero",
        model=options.model,
        images_per_epoch=options.images,
        num_inference_steps=options.steps,
        trained_steps=options.trained_steps,
    )
    figures = measure(config, options.repeats, options.threads)
    settings = config.flat()
    del settings["model"], settings["seed"]
    result = {"command": command("speed"), **figures, "config": settings}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")

    screen = console()
    for table in tables(figures):
        screen.print(table)
    unet = figures["unet"]
    screen.print(
        f"The gradients of both updates differ by {figures['gradient_difference']:.1e} of the "
        f"largest. The UNet reaches {unet['share_of_ceiling']:.0%} of the matrix product's "
        f"{unet['matrix_product_gigaflops_a_second']:.0f} GFLOP/s."
    )
    if figures["machine"]["loaded_by_others"]:
        load = figures["machine"]["load_before"]
        screen.print(f"The machine was not idle (load {load:.1f}): only the ratios mean something.")
    screen.print(f"Written to {options.out}")


if __name__ == "__main__":
    main()
