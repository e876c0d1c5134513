"""A program that several processes run together, as a launcher starts it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import distributed as dist
from torch import multiprocessing

from hero_engine import processes
from hero_engine.errors import HeroError, ModelNotFound, StorageError
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from hero_engine.processes import by_first, rank, shared, world_size
from hero_engine.storage.batch import Feedback

FEEDBACK = Feedback((True, False, None, False, True, True, False, False), best=4)


def run_together(program: Callable[..., None], processes: int, folder: Path, *args: Any) -> None:
    """`program(folder, *args)` in so many processes, which know one another."""
    folder.mkdir()
    multiprocessing.spawn(_member, (processes, program, folder, args), nprocs=processes)


def _member(number: int, processes: int, program: Callable, folder: Path, args: tuple) -> None:
    torch.set_num_threads(1)
    if processes > 1:
        address = f"file://{folder / 'address'}"
        dist.init_process_group("gloo", init_method=address, rank=number, world_size=processes)
    program(folder, *args)
    if processes > 1:
        dist.destroy_process_group()


def epochs(folder: Path, runs: dict[str, dict[str, Any]]) -> None:
    """Two epochs of each run; what this process ends with, in files."""
    for name, fields in runs.items():
        run = Method.create(make_config(**fields))
        tensors, reports = {}, []
        for epoch in range(2):
            batch = run.generate()
            tensors[f"z_0 of epoch {epoch}"] = batch.latents
            tensors[f"image 7 of epoch {epoch}"] = torch.frombuffer(
                bytearray(batch.images[7].tobytes()), dtype=torch.uint8
            )
            if batch.transitions is not None:
                tensors[f"log_prob of epoch {epoch}"] = batch.transitions.log_prob
            reports.append({**run.learn(batch, FEEDBACK).to_dict(), "seconds": None})
        tensors |= run.policy.lora_state()
        tensors["samples"] = run.sample(5, seed=1).latents
        save_file(tensors, folder / f"{name} {rank()}.safetensors")
        (folder / f"{name} {rank()}.json").write_text(json.dumps(reports))
        run.save(folder / f"{name} checkpoint")
        run.export_lora(folder / f"{name} lora.safetensors")


def parts(folder: Path) -> None:
    """Each part is done once and known to all; the first process alone writes."""

    def work(number: int, part: str) -> tuple[str, int, torch.Tensor]:
        (folder / f"done {part}").touch(exist_ok=False)
        return part, rank(), torch.full((2,), float(number))

    for names in (["a"], ["b", "c", "d", "e", "f"], []):
        found = shared(names, work)
        assert [part for part, _, _ in found] == names
        assert [by for _, by, _ in found] == [n % world_size() for n in range(len(names))]
        assert [t.tolist() for _, _, t in found] == [[n, n] for n in range(len(names))]

    by_first(lambda: (folder / f"written by {rank()}").touch())
    assert (folder / "written by 0").exists()

    def fails() -> None:
        raise StorageError(f"no room for {rank()}")

    try:
        by_first(fails)
    except StorageError as error:
        (folder / f"told {rank()}").write_text(str(error))


def unlike(folder: Path) -> None:
    """What each process says where they have not the same."""

    def some_have_not() -> None:
        if rank() == 1:
            raise ModelNotFound("no model here")

    def none_has() -> None:
        raise ModelNotFound(f"no model for {rank()}")

    said = []
    for attempt in (
        lambda: processes.all_ready(some_have_not),
        lambda: processes.all_ready(none_has),
        lambda: processes.check_same("The number", lambda: "the same"),
        lambda: processes.check_same("The number", lambda: str(rank())),
    ):
        try:
            attempt()
            said.append("")
        except HeroError as error:
            said.append(f"{type(error).__name__}: {error}")
    with processes.alone():
        assert (world_size(), rank()) == (1, 0)
        assert shared("ab", lambda number, part: part) == ["a", "b"]
        with processes.together():
            said.append(processes.decided(lambda: f"{rank()} of {world_size()}"))
    (folder / f"said {rank()}.json").write_text(json.dumps(said))


def one_learns_otherwise(folder: Path, fields: dict[str, Any]) -> None:
    """What each process says where one of them came to another LoRA."""
    run = Method.create(make_config(**fields))
    batch = run.generate()
    if rank() == 1:
        learn = run._learn

        def otherwise(*args: Any) -> None:
            learn(*args)
            with torch.no_grad():
                run.policy.parameters[0] += 1e-6

        run._learn = otherwise  # type: ignore[method-assign]
    try:
        run.learn(batch, FEEDBACK)
    except HeroError as error:
        (folder / f"said {rank()}").write_text(f"{type(error).__name__}: {error}")


def one_leaves(folder: Path) -> None:
    """What the others say when one has ended."""
    if rank() == 1:
        os._exit(0)
    try:
        processes.decided(lambda: 1)
        processes.decided(lambda: 2)
        shared("abc", lambda number, part: part)
    except HeroError as error:
        (folder / f"said {rank()}").write_text(f"{type(error).__name__}: {error}")
